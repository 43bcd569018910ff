"""A typed line taken apart into words that know where they stood. Quoting as people expect it from a shell."""

from dataclasses import dataclass

from amon.errors import Invalid
from amon.text import check_typed


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a line: what it means, and the span it came from.

    `quoted` words begin with a quote or a backslash and are never options.
    """

    text: str
    start: int
    end: int
    quoted: bool = False


def split(line: str) -> tuple[Word, ...]:
    """The words of `line`; "double" and 'single' quotes hold a word together, a backslash takes what follows as it is.

    A word that begins with `@(` runs to its closing bracket: it is a target expression. Raises `Invalid`, also for
    what check_typed refuses.
    """
    # Chat lines have been made normal before; those of a program's request come here as they were sent.
    check_typed(line)
    words: list[Word] = []
    place = 0
    while place < len(line):
        if line[place].isspace():
            place += 1
            continue
        word = _target(line, place) if line.startswith("@(", place) else _word(line, place)
        words.append(word)
        place = word.end
    return tuple(words)


def _word(line: str, start: int) -> Word:
    made: list[str] = []
    place = start
    while place < len(line) and not line[place].isspace():
        character = line[place]
        if character in "\"'":
            text, place = _quotation(line, place)
            made.append(text)
        elif character == "\\" and place + 1 < len(line):
            made.append(line[place + 1])
            place += 2
        else:
            made.append(character)
            place += 1
    return Word("".join(made), start, place, line[start] in "\"'\\")


def _quotation(line: str, start: int) -> tuple[str, int]:
    quote = line[start]
    made: list[str] = []
    place = start + 1
    while place < len(line) and line[place] != quote:
        if line[place] == "\\" and quote == '"' and place + 1 < len(line):
            place += 1
        made.append(line[place])
        place += 1
    if place >= len(line):
        raise Invalid(f"this {quote} is never closed", line, start, start + 1)
    return "".join(made), place + 1


def _target(line: str, start: int) -> Word:
    depth = 0
    for place in range(start + 1, len(line)):
        depth += {"(": 1, ")": -1}.get(line[place], 0)
        if depth == 0:
            return Word(line[start : place + 1], start, place + 1)
    raise Invalid("this ( is never closed", line, start + 1, start + 2)
