"""TOML text to tables; a syntax error with its line, its column and the line itself. Source: TOML 1.0.0, toml.io.

tomllib stops at the first error and says it in the words of a parser; here they become those of somebody who writes a
file, and what stands on the line is shown unless it could be a secret.
"""

import re
import tomllib
from typing import Any

from amon.errors import Invalid, Problem

SYNTAX = "line "
"""How the path of a syntax error begins: such a problem hides all others."""

_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_SECRET = re.compile(r"(?i)(pass|secret|token|credential|key|proxy|auth)[\w-]*[\"']?(?P<value>\s*[=:\s].*)$")
_QUANTITY = re.compile(r"[+-]?[0-9._]+\s*[A-Za-zµ%°][^=]*")

# What tomllib says, by its beginning, and what is meant by it.
_MEANT = (
    ("Expected '=' after a key", "a key stands here without `= value`"),
    ("Unclosed array", "this list is not closed: `]` is missing"),
    ("Unclosed inline table", "`}` is missing: a table within one line is closed on that line"),
    ("Unterminated string", "this text is not closed: its quote is missing"),
    ("Expected ''\"'' or \"\"\"", "this text is not closed: its quote is missing"),
    ("Expected newline or end of document after a statement", "something more stands behind the value"),
    ("Unescaped '\\' in a string", "a backslash in a text is written twice, or the text in single quotes"),
    ("Invalid initial character for a key", "a key begins with a letter or a digit, or is in quotes"),
    ("Invalid statement", "a key begins with a letter or a digit, or is in quotes"),
    ("Duplicate inline table key", "this key is given twice"),
    ("Cannot mutate immutable namespace", "this table is complete where it began; it cannot be added to"),
    ("Invalid hex value", "\\x and \\u are followed by digits from 0 to f"),
    ("Expected ']'", "the name of a table is not closed: `]` is missing"),
    ("Expected ']]'", "the name of a list of tables is not closed: `]]` is missing"),
)


def parse(text: str) -> "dict[str, Any] | Problem":
    """The tables of a file, or the one thing its writer has to mend first."""
    try:
        return tomllib.loads(text.removeprefix("\ufeff"))
    except tomllib.TOMLDecodeError as error:
        return _problem(text.removeprefix("\ufeff"), str(error))
    except RecursionError:
        return Problem(f"{SYNTAX}1", "lists or tables stand too deep inside each other")


def _problem(text: str, said: str) -> Problem:
    match = _PLACE.search(said)
    lines = text.replace("\r\n", "\n").split("\n")
    if match is not None and match[1]:
        number, column = int(match[1]), int(match[2])
    else:
        number, column = _last_line(lines)
    line = lines[number - 1] if number <= len(lines) else ""
    what = _meaning(said[: match.start()] if match else said, line, column)
    shown = _shown(lines, number)
    pointed = Invalid(what, shown, column - 1, column).pointed() if shown.strip() else what
    return Problem(f"{SYNTAX}{number}, column {column}", pointed)


def _last_line(lines: list[str]) -> tuple[int, int]:
    """The end of what is written: where a file breaks off."""
    number = max((n for n, line in enumerate(lines, 1) if line.strip()), default=1)
    return number, len(lines[number - 1]) + 1


def _meaning(said: str, line: str, column: int) -> str:
    if said.startswith("Invalid value"):
        return _bad_value(line[column - 1 :].strip())
    if said.startswith(("Illegal character '\\n'", "Illegal character '\\r'")):
        return "this text is not closed: its quote is missing on this line"
    if said.startswith("Illegal character"):
        return f"{said[0].lower()}{said[1:]}: it cannot be in a configuration"
    if said.startswith("Expected newline") and _QUANTITY.fullmatch(line.partition("=")[2].strip()):
        return 'a number with a unit is written in quotes, like "5 min"'
    if said.startswith(("Cannot declare", "Cannot overwrite a value")):
        return "this is given twice; leave one of the two"
    for beginning, meant in _MEANT:
        if said.startswith(beginning):
            return meant
    return f"{said[:1].lower()}{said[1:]}"


def _bad_value(rest: str) -> str:
    word = re.split(r"[\s,#\]}]", rest, maxsplit=1)[0]
    if not rest or rest.startswith("#"):
        return "the value is missing"
    if word.lower() in ("true", "false", "yes", "no", "on", "off"):
        return "yes and no are written `true` and `false` here"
    return 'text is written in quotes, like "this"'


def _shown(lines: list[str], number: int) -> str:
    """The line with the error, without what could be a secret; nothing inside a text of several lines."""
    if number > len(lines):
        return ""
    before = "\n".join(lines[: number - 1])
    if before.count('"""') % 2 or before.count("'''") % 2:
        return ""
    line = lines[number - 1]
    match = _SECRET.search(line)
    if match is None or line.lstrip().startswith("["):
        return line
    return line[: match.start("value")] + (" = ***" if "=" in match["value"] else " ***")
