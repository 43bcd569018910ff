"""What an instance probes: lines of lists, groups and files, made into addresses. A million, and junk among them.

A line is an address or a name (or a URL, for http), perhaps a label behind it, perhaps a remark behind a #. What is
none of that is left out and told with its place; what is there twice is probed once and counted. Addresses are kept as
bytes, 16 each (RFC 4291, 2.5.5.2), so that a million of them is 16 MB and not a million objects.
"""

import os
import re
import socket
import stat
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from amon.errors import Failed
from amon.text import visible

TARGETS_MOST = 1_000_000
NAMES_MOST = 10_000
"""Targets of one instance, and those of them that are no addresses."""
FILE_MOST = 256 * 2**20
"""Bytes of a file."""
LINE_MOST = 1024
"""Bytes of a line."""
JUNK_KEPT = 100
"""Places of junk that are remembered; all of it is counted."""

_MAPPED = bytes(10) + b"\xff\xff"
_NOWHERE = bytes(16)
_NAME = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62})(?:\.[A-Za-z0-9_][A-Za-z0-9_-]{0,62})*\.?")
_NUMERIC = re.compile(r"[0-9.]+")  # 10.0.0.300 is a mistyped address and no name
_URL = re.compile(r"https?://[^\s\x00-\x1f\x7f]{1,500}")
_LABEL = re.compile(r"[\w][\w.:@/-]{0,63}")


@dataclass(frozen=True, slots=True)
class Junk:
    """place: `FILE:LINE`."""

    place: str
    why: str

    def __str__(self) -> str:
        return f"{self.place} {self.why}"


@dataclass(slots=True)
class Draft:
    """What was read, before names are resolved. keys: an address of 16 bytes, or a text to resolve or to take as it is.

    most: targets; the rest is junk. group: of each, the place in `groups`.
    """

    most: int = TARGETS_MOST
    keys: list[bytes | str] = field(default_factory=list)
    labels: dict[int, str] = field(default_factory=dict)
    group: "array[int]" = field(default_factory=lambda: array("H"))
    groups: list[str] = field(default_factory=list)
    junk: list[Junk] = field(default_factory=list)
    junk_count: int = 0
    duplicates: int = 0
    names: int = 0
    _seen: set[bytes | str] = field(default_factory=set)

    def read(self, group: str, origin: str, lines: Iterable[str | bytes], *, urls: bool = False) -> None:
        """Take these lines in. origin: what junk is told with. urls: whether a URL is a target here."""
        if group not in self.groups:
            self.groups.append(group)
        place = self.groups.index(group)
        for number, line in enumerate(lines, 1):
            try:
                self._take(place, line, urls)
            except ValueError as wrong:
                self.junk_count += 1
                if len(self.junk) < JUNK_KEPT:
                    self.junk.append(Junk(f"{origin}:{number}", str(wrong)))

    def _take(self, place: int, line: str | bytes, urls: bool) -> None:
        if len(line) > LINE_MOST:
            raise ValueError(f"is longer than {LINE_MOST} characters")
        text = line.decode("utf-8", "replace") if isinstance(line, bytes) else line
        words = _words(text, urls)
        if not words:
            return
        key = _key(words[0], urls)
        label = _label(words)
        if key in self._seen:
            self.duplicates += 1
            return
        if len(self.keys) >= self.most:
            raise ValueError(f"is beyond the {self.most:,} targets of one instance")
        if isinstance(key, str):
            if self.names >= NAMES_MOST:
                raise ValueError(f"is beyond the {NAMES_MOST:,} names of one instance; write addresses")
            self.names += 1
        self._seen.add(key)
        if label:
            self.labels[len(self.keys)] = label
        self.keys.append(key)
        self.group.append(place)

    def to_resolve(self) -> list[str]:
        return [key for key in self.keys if isinstance(key, str)]

    def finish(self, resolved: Mapping[str, str], revision: int) -> "Targets":
        """With what became of the names; without any an entry stands here with no address. Those that come to an
        address that is there already are duplicates, too."""
        self._seen = {key for key in self.keys if isinstance(key, bytes)}
        made = _Rows(self)
        for row, key in enumerate(self.keys):
            made.add(row, key, resolved)
        return made.targets(revision)


class _Rows:
    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._addresses = bytearray()
        self._labels: dict[int, str] = {}
        self._names: dict[int, str] = {}
        self._group = array("H")
        self._seen = draft._seen
        self._duplicates = 0
        self._missing: list[str] = []

    def add(self, row: int, key: bytes | str, resolved: Mapping[str, str]) -> None:
        place = len(self._group)
        address = key if isinstance(key, bytes) else packed(resolved.get(key, ""))
        if isinstance(key, str):
            if address != _NOWHERE and address in self._seen:
                self._duplicates += 1
                return
            self._seen.add(address)
            self._names[place] = key
            if address == _NOWHERE:
                self._missing.append(key)
        if row in self._draft.labels:
            self._labels[place] = self._draft.labels[row]
        self._addresses += address
        self._group.append(self._draft.group[row])

    def targets(self, revision: int) -> "Targets":
        draft = self._draft
        return Targets(
            revision, bytes(self._addresses), self._names, self._labels, self._group, tuple(draft.groups),
            tuple(draft.junk), draft.junk_count, draft.duplicates + self._duplicates, tuple(self._missing),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Targets:
    """One list, never changed. addresses: 16 bytes each, all zero where a name has none. names: what was written, of
    those that are no addresses. labels: what they are called besides. missing: names without an address.
    """

    revision: int = 0
    addresses: bytes = b""
    names: Mapping[int, str] = field(default_factory=dict)
    labels: Mapping[int, str] = field(default_factory=dict)
    group: "array[int]" = field(default_factory=lambda: array("H"))
    groups: tuple[str, ...] = ()
    junk: tuple[Junk, ...] = ()
    junk_count: int = 0
    duplicates: int = 0
    missing: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.group)

    def address(self, row: int) -> str:
        """As people write it; empty where there is none."""
        return unpacked(self.addresses[16 * row : 16 * row + 16])

    def text(self, row: int) -> str:
        """As it was written."""
        return self.names.get(row) or self.address(row)

    def called(self, row: int) -> str:
        """Its label, if it has one; else as it was written."""
        return self.labels.get(row) or self.text(row)

    def group_of(self, row: int) -> str:
        return self.groups[self.group[row]]

    def find(self, word: str) -> int | None:
        """The row that is called so, or has this address."""
        for held in (self.labels, self.names):
            for row, text in held.items():
                if text.lower() == word.lower():
                    return row
        wanted = packed(word)
        place = self.addresses.find(wanted) if wanted != _NOWHERE else -1
        while place > 0 and place % 16:
            place = self.addresses.find(wanted, place + 1)
        return place // 16 if place >= 0 else None

    def reachable(self) -> "array[int]":
        """Rows that have an address."""
        if not self.missing:
            return array("I", range(len(self)))
        return array("I", (row for row in range(len(self)) if self.addresses[16 * row : 16 * row + 16] != _NOWHERE))


def packed(address: str) -> bytes:
    """16 bytes, IPv4 mapped into IPv6; all zero for what is no address."""
    try:
        return _MAPPED + socket.inet_pton(socket.AF_INET, address)
    except (OSError, ValueError):
        pass
    try:
        return socket.inet_pton(socket.AF_INET6, address)
    except (OSError, ValueError):
        return _NOWHERE


def unpacked(address: bytes) -> str:
    """Empty for what has none."""
    if address == _NOWHERE:
        return ""
    if address.startswith(_MAPPED):
        return socket.inet_ntop(socket.AF_INET, address[12:])
    return socket.inet_ntop(socket.AF_INET6, address)


def _words(text: str, urls: bool) -> list[str]:
    """Without the remark. A # within a URL is a part of it."""
    if "#" in text:
        text = re.sub(r"(?:^|\s)#.*" if urls else r"#.*", "", text, flags=re.DOTALL)
    return text.split()


def _key(word: str, urls: bool) -> bytes | str:
    address = packed(word)
    if word in ("0.0.0.0", "::"):
        raise ValueError("is the address of nobody")
    if address != _NOWHERE:
        return address
    if urls and _URL.fullmatch(word):
        return word
    if _NUMERIC.fullmatch(word) or not _NAME.fullmatch(word):
        raise ValueError(f"{visible(word[:40], lines=False)!r} is neither an address nor a name")
    return word.lower()


def _label(words: Sequence[str]) -> str:
    if len(words) == 1:
        return ""
    if len(words) > 2:
        raise ValueError(f"has {len(words)} words; an address, and perhaps a label")
    if not _LABEL.fullmatch(words[1]):
        raise ValueError(f"{visible(words[1][:40], lines=False)!r} is no label")
    return words[1]


Stamp = tuple[int, int, int]


def stamp_of(path: Path) -> Stamp | None:
    """What is another one when the file has changed; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def read_file(draft: Draft, path: Path, group: str, *, urls: bool = False) -> None:
    """Into the draft; `Failed` where it cannot be read. Takes seconds for a million lines: meant for a thread."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a FIFO without writer must not hold us
        with os.fdopen(descriptor, "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise Failed(f"{path} is no file")
            if found.st_size > FILE_MOST:
                raise Failed(f"{path} has {found.st_size:,} B; at most {FILE_MOST:,} are read")
            draft.read(group, path.name, _lines(file), urls=urls)
    except OSError as fault:
        raise Failed(f"{path} cannot be read: {(fault.strerror or str(fault)).lower()}") from None


def _lines(file: BinaryIO) -> Iterable[bytes]:
    """A line that is too long comes as its beginning, which is long enough to be refused."""
    while line := file.readline(LINE_MOST + 2):
        yield line if line.endswith(b"\n") or len(line) <= LINE_MOST else _rest_left(file, line)


def _rest_left(file: BinaryIO, line: bytes) -> bytes:
    while (more := file.readline(65_536)) and not more.endswith(b"\n"):
        pass
    return line
