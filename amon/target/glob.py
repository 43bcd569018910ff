"""Shell-like patterns on short names: `*` any run of characters, `?` any one. Nothing else is special.

Not `fnmatch`: it makes a regular expression, and a regular expression of many stars from a stranger is a way to keep
an agent busy. Greedy matching with one step back is enough, because only the last star met can ever need to grow
(Kirk J. Krauss, "Matching Wildcards: An Algorithm", Dr. Dobb's, 2008).
"""


def is_glob(pattern: str) -> bool:
    return "*" in pattern or "?" in pattern


def matches_glob(pattern: str, text: str) -> bool:
    """Whether the whole of `text` fits, capitals apart. At worst length times length, without memory."""
    pattern, text = pattern.lower(), text.lower()
    if not is_glob(pattern):
        return pattern == text
    at, place = 0, 0
    star, kept = -1, 0
    while place < len(text):
        if at < len(pattern) and pattern[at] == "*":
            star, kept = at, place
            at += 1
        elif at < len(pattern) and pattern[at] in ("?", text[place]):
            at += 1
            place += 1
        elif star >= 0:  # let the last star take one character more
            kept += 1
            at, place = star + 1, kept
        else:
            return False
    return pattern[at:].strip("*") == ""
