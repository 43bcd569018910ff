"""Text that people typed or hosts produced, made safe: control and bidirectional characters never pass.

Sources: Unicode categories Cc, Cf, Cs, Co, Cn; the bidirectional controls of UAX #9 are all Cf; Trojan Source
(CVE-2021-42574).
"""

import re
import unicodedata

from amon.errors import Invalid

LONGEST_LINE = 8192  # characters; a line that is longer is a mistake or an attack, not a command

# Phones put these in place of what was typed; meaning is kept, so they are put back.
_TYPOGRAPHY = str.maketrans(
    {"“": '"', "”": '"', "„": '"', "‘": "'", "’": "'", "–": "--", "—": "--", "\u00a0": " ", "\u202f": " "}
)
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
# Letters and marks without any picture: fillers, blanks of other scripts, selectors of variants (but that of emoji).
_FILLERS = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0e\uffa0\U000e0100-\U000e01ef]"
)


def normal_line(line: str) -> str:
    """A typed line as it is meant: NFKC, plain quotes and dashes; `Invalid` for what no keyboard types.

    A normal line stays as it is: what a person signs is a line that was made normal, and so is what is done then.
    Length is checked before anything is done with the text, and after: NFKC makes eighteen letters of some.
    """
    _check_length(line)
    # NFKC makes quotes and dashes, too, of such as stand on their side.
    line = unicodedata.normalize("NFKC", line.translate(_TYPOGRAPHY)).translate(_TYPOGRAPHY).strip()
    check_typed(line)
    return line


def check_typed(line: str) -> None:
    """`Invalid` for a line that is too long, or that holds what no keyboard types."""
    _check_length(line)
    if line.isprintable():
        return
    for place, character in enumerate(line):
        if hidden(character) and character != "\t":
            name = unicodedata.name(character, f"U+{ord(character):04X}")
            text = f"character {place + 1} is invisible ({name}); type the line again without it"
            # Without the line: nobody has read yet which of its words is secret.
            raise Invalid(text, "", place, place + 1)


def _check_length(line: str) -> None:
    if len(line) > LONGEST_LINE:
        raise Invalid(
            f"this line is {len(line)} characters long; at most {LONGEST_LINE} are taken, send a file instead"
        )


def hidden(character: str) -> bool:
    return unicodedata.category(character) in _HIDDEN or _FILLERS.match(character) is not None


def visible(text: str, *, lines: bool = True, tabs: int = 4) -> str:
    """`text` with every control and bidirectional character replaced by U+FFFD; line ends are kept if `lines`."""
    if text.isprintable():
        return text if text.isascii() else _FILLERS.sub("\ufffd", text)
    if not lines:
        return _line_visible(text.expandtabs(tabs))
    return "\n".join(_line_visible(line) for line in text.expandtabs(tabs).replace("\r\n", "\n").split("\n"))


def _line_visible(line: str) -> str:
    # isprintable() runs at the speed of memory; fifty megabytes of log must not hold up the loop for seconds.
    if line.isprintable():
        return line if line.isascii() else _FILLERS.sub("\ufffd", line)
    return "".join("\ufffd" if hidden(c) else c for c in line)


def cut(text: str, most: int) -> tuple[str, bool]:
    """The first `most` characters, whole lines where possible, and whether anything was left out."""
    if len(text) <= most:
        return text, False
    head = text[:most]
    last = head.rfind("\n")
    return (head[:last] if last > most // 2 else head), True


def did_you_mean(word: str, known: "list[str] | tuple[str, ...] | set[str] | frozenset[str]") -> str:
    """`; did you mean x?` for a near miss, else nothing. At most three, best first."""
    near = nearest(word, known)
    if not near:
        return ""
    return f"; did you mean {' or '.join(near)}?"


def nearest(word: str, known: "list[str] | tuple[str, ...] | set[str] | frozenset[str]") -> list[str]:
    import difflib  # 3 ms that only a mistake costs

    return difflib.get_close_matches(word[:64].lower(), sorted(known), n=3, cutoff=0.6)
