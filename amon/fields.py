"""`Field`: what is known about a value beyond its type, and `Secret`: text that never shows itself.

Both are used alike for settings, command parameters and results.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from hmac import compare_digest
from pathlib import Path
from typing import NoReturn
from weakref import WeakValueDictionary


@dataclass(frozen=True, slots=True)
class Field:
    """Meant for `Annotated[type, Field(...)]`.

    unit: what a number counts: "s", "B", "b/s", "%", "°C", "1"; people may write "5 min" or "64 KiB" for it.
    least, most: bounds of a number, inclusive, in that unit.
    pattern: regular expression the whole text must match; longest: most characters of a text (or items of a list).
    secret: never shown in a log, an audit line, an answer or a repr.
    complete: name of a method of the instance that gives the candidates for completion.
    example: value to show in a generated configuration when there is no default.
    short: the letter that stands for `--name` of a command's parameter: `-c 20`.
    sites: of a command's parameter: it may name other sites (`@desy`), so in a chat that is no target of the line.
    """

    about: str = ""
    unit: str | None = None
    least: float | None = None
    most: float | None = None
    pattern: str | None = None
    longest: int | None = None
    secret: bool = False
    complete: str | None = None
    example: object = None
    short: str = ""
    sites: bool = False

    def problem(self, value: object) -> str | None:
        """Why `value` is not allowed here, in words, or None."""
        if isinstance(value, Secret):
            return self._text_problem(value.reveal())
        if isinstance(value, str | Path):
            return self._text_problem(str(value))
        if isinstance(value, int | float) and not isinstance(value, bool):
            return self._number_problem(value)
        if self.longest is not None and isinstance(value, tuple | list | dict) and len(value) > self.longest:
            return f"has {len(value)} items; at most {self.longest} are allowed"
        return None

    def over(self, inner: "Field") -> "Field":
        """This field where it says something, else what `inner` says: `Annotated[UnitName, Field("which unit")]`."""
        said = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}
        return replace(inner, **said)

    def _text_problem(self, value: str) -> str | None:
        if self.longest is not None and len(value) > self.longest:
            return f"is {len(value)} characters long; at most {self.longest} are allowed"
        if self.pattern is not None and not _compiled(self.pattern).fullmatch(value):
            return f"must match {self.pattern}"
        return None

    def _number_problem(self, value: float) -> str | None:
        unit = f" {self.unit}" if self.unit and self.unit != "1" else ""
        if self.least is not None and value < self.least:
            return f"must be at least {self.least:g}{unit}"
        if self.most is not None and value > self.most:
            return f"must be at most {self.most:g}{unit}"
        return None


@lru_cache(maxsize=512)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


class Secret:
    """Text that never shows itself: `repr`, `str` and formatting give ***; `reveal()` gives the text.

    It is compared in constant time, is never pickled, and a copy of it is the same object.
    """

    __slots__ = ("__weakref__", "_shapes", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._shapes: tuple[str, ...] | None = None
        _ALIVE[id(self)] = self

    def reveal(self) -> str:
        return self._text

    def shapes(self) -> tuple[str, ...]:
        """How it may stand in a text: as it is, or as Python, JSON or XML would quote it."""
        if self._shapes is None:
            self._shapes = _forms(self._text)
        return self._shapes

    def __repr__(self) -> str:
        return "***"

    def __format__(self, how: str) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and compare_digest(_bytes(self._text), _bytes(other._text))

    def __hash__(self) -> int:
        return hash(self._text)

    def __copy__(self) -> "Secret":
        return self

    def __deepcopy__(self, seen: object) -> "Secret":
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret is not written down")


# The one global of this house: whoever writes a line of log cannot be handed every secret that lives.
_ALIVE: "WeakValueDictionary[int, Secret]" = WeakValueDictionary()
LEAST_HIDDEN = 6
"""Characters: what is shorter stands in many a text by chance."""


def shapes(also: Iterable[Secret] = ()) -> Iterator[str]:
    """All forms of all secrets that `discreet` hides, for who reads a text in pieces."""
    told = [*also, *(one for one in list(_ALIVE.values()) if len(one.reveal()) >= LEAST_HIDDEN)]
    return (shape for secret in told for shape in secret.shapes())


def discreet(text: str, also: Iterable[Secret] = ()) -> str:
    """`text` with *** for every living secret in it, as it is or as Python, JSON or XML would quote it.

    The second fence: whoever writes a text has to leave secrets out of it. also: secrets that are hidden however short.
    """
    found = {shape for shape in shapes(also) if shape in text}
    # The longest first: one may be the beginning of another.
    for shape in sorted(found, key=len, reverse=True):
        text = text.replace(shape, "***")
    return text


def _forms(secret: str) -> tuple[str, ...]:
    """Plain text has one."""
    if not secret:
        return ()
    if secret.isalnum() and secret.isascii():
        return (secret,)
    escaped = secret.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    quoted = (repr(secret)[1:-1], secret.encode("unicode_escape").decode(), json.dumps(secret)[1:-1])
    return tuple(dict.fromkeys((secret, *quoted, escaped, escaped.replace('"', "&quot;"))))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
