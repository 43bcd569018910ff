"""The line that a person signs who has no console at hand: what will be done, where, for whom and until when.

It is one line of words, exactly those that are read before signing, so that whoever stands between has nothing to
change. It never begins with `{`, as an envelope does: one can never be taken for the other.
"""

import re
from dataclasses import dataclass

from amon.errors import Invalid

_MARK = "amon1"
_LONGEST = 10_000  # characters
_LINE = re.compile(
    r"amon1 ([0-7][0-9A-HJKMNP-TV-Z]{25}) (\S{3,2047}) (\S{3,2047}) ([1-9][0-9]{0,10}) ([1-9][0-9]{0,10}) (\S.*)"
)


@dataclass(frozen=True, slots=True)
class Challenge:
    """id: of the request. site, by: bare addresses. issued, expires: epoch seconds. line: what will be done."""

    id: str
    site: str
    by: str
    issued: int
    expires: int
    line: str

    def __str__(self) -> str:
        """The text that is signed."""
        return f"{_MARK} {self.id} {self.site} {self.by} {self.issued} {self.expires} {self.line}"


def read_challenge(text: str) -> Challenge:
    """The challenge in a line; `Invalid` for anything else."""
    found = _LINE.fullmatch(text) if len(text) <= _LONGEST and text.isprintable() else None
    if found is None:
        raise Invalid("this is no challenge of a site; it begins with amon1 and is copied whole, as one line")
    ident, site, by, issued, expires, line = found.groups()
    return Challenge(ident, site, by, int(issued), int(expires), line)
