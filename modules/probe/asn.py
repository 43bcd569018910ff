"""Whose network an address is in, from a table file: longest prefix first, a million prefixes in some 30 MB.

Formats, told apart line by line (columns are separated by tabs or blanks; `#` begins a comment):
- `192.0.2.0/24  64500  NAME ...`   prefix, AS number, and its name if there is one
- `192.0.2.0  24  64500`            CAIDA's RouteViews prefix-to-AS (pfx2as); of several origins the first counts
- `64500  NAME ...` or `AS64500  NAME ...`   the name of an AS
Sources: RFC 4632 (longest match), RFC 5396 (AS numbers as text), CAIDA pfx2as README. Nested prefixes are laid flat
once, so that a look-up is one bisection.
"""

import asyncio
import socket
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from amon.errors import Problem
from amon.text import visible

LINE_MOST = 1024
"""Bytes of a line."""
PREFIXES_MOST = 4_000_000
PROBLEMS_MOST = 100
"""Junk lines that are told one by one; the others are counted."""
NAME_MOST = 64
NAMES_MOST = 500_000


class Junk(ValueError):
    """A line that is no entry."""


@dataclass(slots=True)
class Table:
    """What was read. problems: the first junk lines; junk: how many there were."""

    prefixes: int = 0
    junk: int = 0
    problems: list[Problem] = field(default_factory=list)
    _names: dict[int, str] = field(default_factory=dict)
    _four: "tuple[array[int], array[int]]" = field(default_factory=lambda: (array("I"), array("I")))
    _six: "tuple[array[int], array[int], array[int]]" = field(
        default_factory=lambda: (array("Q"), array("Q"), array("I"))
    )

    def of(self, address: str) -> tuple[int, str]:
        """AS number and name; 0 and nothing where no prefix covers it."""
        bare = address.partition("%")[0]
        try:
            asn = self._in_six(bare) if ":" in bare else self._in_four(bare)
        except (OSError, ValueError):  # no address, or text that no C library takes
            return 0, ""
        return asn, self._names.get(asn, "") if asn else ""

    def _in_four(self, address: str) -> int:
        starts, owners = self._four
        place = bisect_right(starts, int.from_bytes(socket.inet_pton(socket.AF_INET, address), "big")) - 1
        return owners[place] if place >= 0 else 0

    def _in_six(self, address: str) -> int:
        high, low, owners = self._six
        wanted = int.from_bytes(socket.inet_pton(socket.AF_INET6, address), "big")
        place = bisect_right(range(len(high)), wanted, key=lambda at: high[at] << 64 | low[at]) - 1
        return owners[place] if place >= 0 else 0


def read_table(lines: Iterable[bytes], where: str = "", most: int = PREFIXES_MOST) -> Table:
    """A table of all that can be understood; what cannot is reported by line. most: prefixes that are taken."""
    table, four, six = Table(), list[int](), list[tuple[int, int, int]]()
    for number, line in enumerate(lines, 1):
        words = line.partition(b"#")[0].split(None, 3)
        if not words:
            continue
        try:
            if len(line) > LINE_MOST:
                raise Junk(f"is longer than {LINE_MOST} bytes")
            _take(words, table, four, six, most)
        except (Junk, ValueError, OSError) as wrong:
            table.junk += 1
            if len(table.problems) < PROBLEMS_MOST:
                text = str(wrong) if isinstance(wrong, Junk) else f"is no entry: {_shown(line)}"
                table.problems.append(Problem(f"{where}:{number}", text))
    table.prefixes = len(four) + len(six)
    _lay_four(four, table)
    _lay_six(six, table)
    return table


def _take(words: list[bytes], table: Table, four: list[int], six: list[tuple[int, int, int]], most: int) -> None:
    prefix, slash, length = words[0].partition(b"/")
    if not slash and b"." not in prefix and b":" not in prefix:
        _name(_number(prefix), words[1:], table)
        return
    if not slash:
        if len(words) < 3:
            raise Junk("has no length or no AS number")
        length, origin, name = words[1], words[2], list[bytes]()
    else:
        if len(words) < 2:
            raise Junk("has no AS number")
        origin, name = words[1], words[2:]
    if len(four) + len(six) >= most:
        raise Junk(f"is one of more than {most} prefixes")
    asn = _number(origin)
    text, bits = prefix.decode("ascii"), int(length)
    if b":" in prefix:
        six.append((_start(socket.inet_pton(socket.AF_INET6, text), bits, 128), bits, asn))
    else:
        # 32 bits of address, 6 of length, 32 of number: one integer a prefix, which sorts as it should
        start = _start(socket.inet_pton(socket.AF_INET, text), bits, 32)
        four.append(start << 38 | bits << 32 | asn)
    if name:
        _name(asn, name, table)


def _start(packed: bytes, bits: int, width: int) -> int:
    start = int.from_bytes(packed, "big")
    if not 0 <= bits <= width:
        raise Junk(f"has a length of {bits}")
    if start & ((1 << width - bits) - 1):
        raise Junk(f"has bits set behind its length of {bits}")
    return start


def _number(text: bytes) -> int:
    """`64500`, `AS64500`; of `64500_64501`, `64500,64501` and `{64500,64501}` the first."""
    first = text.strip(b"{}").replace(b"_", b",").partition(b",")[0]
    asn = int(first[2:] if first[:2].upper() == b"AS" else first)
    if not 0 < asn < 2**32:
        raise Junk(f"{asn} is no AS number")
    return asn


def _name(asn: int, words: list[bytes], table: Table) -> None:
    text = visible(b" ".join(words).decode("utf-8", "replace").strip()[:NAME_MOST], lines=False)
    if not text:
        raise Junk("has no name")
    if len(table._names) >= NAMES_MOST and asn not in table._names:
        raise Junk(f"is one of more than {NAMES_MOST} names")
    table._names.setdefault(asn, text)


def _lay_four(entries: list[int], table: Table) -> None:
    entries.sort()
    triples = ((one >> 38, (one >> 32) & 63, one & 0xFFFFFFFF) for one in entries)
    starts, owners = table._four
    for start, asn in flat(triples, 32):
        if not owners or owners[-1] != asn:
            starts.append(start)
            owners.append(asn)


def _lay_six(entries: list[tuple[int, int, int]], table: Table) -> None:
    entries.sort()
    high, low, owners = table._six
    for start, asn in flat(iter(entries), 128):
        if not owners or owners[-1] != asn:
            high.append(start >> 64)
            low.append(start & (2**64 - 1))
            owners.append(asn)


def flat(entries: Iterator[tuple[int, int, int]], width: int) -> Iterator[tuple[int, int]]:
    """Sorted (start, length, owner) as (start, owner) where the owner changes; owner 0: nobody's.

    The same prefix twice: the lower number counts.
    """
    inside: list[tuple[int, int]] = []  # (end, owner) of the prefixes we are in, the outermost first
    last: tuple[int, int] | None = None
    for start, length, owner in entries:
        if last == (start, length):
            continue
        last = (start, length)
        while inside and inside[-1][0] <= start:
            end, _ = inside.pop()
            if end < start:
                yield end, inside[-1][1] if inside else 0
        yield start, owner
        inside.append((start + (1 << width - length), owner))
    while inside:
        end, _ = inside.pop()
        if end < 1 << width:
            yield end, inside[-1][1] if inside else 0


class TableFile:
    """A table that is read when it is first needed, in a thread, and again when the file has changed."""

    def __init__(self, path: Path, most: int = 512 * 1024 * 1024) -> None:
        self._path = path
        self._most = most
        self._table = Table()
        self._seen: tuple[float, int] | None = None
        self._reading = asyncio.Lock()

    def of(self, address: str) -> tuple[int, str]:
        return self._table.of(address)

    async def ready(self) -> None:
        async with self._reading:
            await asyncio.to_thread(self._read)

    @property
    def problems(self) -> list[Problem]:
        """The junk lines, the first hundred; or why there is no table."""
        more = self._table.junk - len(self._table.problems)
        rest = [Problem(str(self._path), f"and {more} more lines are no entries")] if more > 0 else []
        return [*self._table.problems, *rest]

    @property
    def prefixes(self) -> int:
        return self._table.prefixes

    def _read(self) -> None:
        try:
            found = self._path.stat()
            now = (found.st_mtime, found.st_size)
            if now == self._seen:
                return
            if found.st_size > self._most:
                raise OSError(f"is larger than {self._most} bytes")
            with self._path.open("rb") as file:
                self._table = read_table(_lines(file, self._most), str(self._path))
            self._seen = now
        except OSError as fault:
            self._table = Table(junk=1, problems=[Problem(str(self._path), fault.strerror or str(fault))])
            self._seen = None


def _lines(file: BinaryIO, most: int) -> Iterator[bytes]:
    """Until so many bytes were read: a file may grow meanwhile. Of a line that is too long only its beginning."""
    while most > 0 and (line := file.readline(LINE_MOST + 1)):
        rest = line
        while rest and not rest.endswith(b"\n") and most > 0:
            rest = file.readline(65_536)
            most -= len(rest)
        most -= len(line)
        yield line


def _shown(line: bytes) -> str:
    return visible(line[:60].decode("utf-8", "replace").strip(), lines=False)
