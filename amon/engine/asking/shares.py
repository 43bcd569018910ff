"""Which engine probes which target, and what one engine has of a job. Needs no numpy.

Each target belongs to one engine, by a hash of its address; its place in the list that was asked for is put back into
the batches.
"""

import asyncio
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from zlib import crc32

from msgspec import structs

from amon.engine.asking.link import Link
from amon.engine.messages import Batch, Denied, Ended, State, Taken, Tally
from amon.errors import Invalid, Refused

Address = IPv4Address | IPv6Address | str

_SLICE = 20_000
"""Addresses that are hashed before others on the loop have their turn."""
NOWHERE = 0xFFFF_FFFF
"""The place of a target that is not in the list: an engine that says so is wrong."""
_ALL_DENIED = "none of the targets may be probed"
"""How an engine begins to say so."""
_ROWS_SHOWN = 1000
_LISTS_MOST = 16
"""Lists whose last probes may still come home."""


def packed(addresses: Iterable[Address]) -> bytes:
    """16 bytes each, IPv4 mapped (RFC 4291, 2.5.5.2). `Invalid` for what is no address."""
    return b"".join(map(_packed, addresses))


def _packed(address: Address) -> bytes:
    if isinstance(address, str):
        try:
            address = ip_address(address)
        except ValueError:
            raise Invalid(f"{address!r} is no IP address; next: resolve names first") from None
    if isinstance(address, IPv4Address):
        return b"\0" * 10 + b"\xff\xff" + address.packed
    return address.packed


def whose(address: bytes, shares: int) -> int:
    """The engine that probes it, of so many."""
    return crc32(address) % shares


async def split(addresses: bytes, shares: int) -> "list[tuple[bytes, array[int] | None]]":
    """For each engine its addresses, and their places in the whole list (None: they are the whole list)."""
    if shares == 1:
        return [(addresses, None)]
    lists, places = [bytearray() for _ in range(shares)], [array("I") for _ in range(shares)]
    for place in range(len(addresses) // 16):
        address = addresses[16 * place : 16 * place + 16]
        engine = whose(address, shares)
        lists[engine] += address
        places[engine].append(place)
        if place % _SLICE == _SLICE - 1:
            await asyncio.sleep(0)
    return [(bytes(one), index) for one, index in zip(lists, places, strict=True)]


@dataclass(frozen=True, slots=True)
class Listed:
    """A list as one engine has it. edition: which of those the asker gave. index: its targets' places in the whole list
    (None: the same)."""

    edition: int = 0
    index: "array[int] | None" = None

    def places(self, rows: Iterable[int]) -> Iterable[int]:
        index = self.index
        if index is None:
            return rows
        length = len(index)
        return [index[row] if row < length else NOWHERE for row in rows]


@dataclass(slots=True)
class Part:
    """What one engine has of a job. following: the list it was given last. lists: those it has taken, by its own count.
    answer: who waits for `Taken`. lost: since when its engine is away, and why."""

    link: Link
    following: Listed = field(default_factory=Listed)
    lists: dict[int, Listed] = field(default_factory=dict)
    begun: bool = False
    taken: Taken | None = None
    state: State | None = None
    ended: Ended | None = None
    answer: "asyncio.Future[Taken] | None" = None
    lost: tuple[float, str] | None = None
    all_denied: str = ""
    """Why the engine probes nothing of its share, if it does not; the shares of others are none of its business."""

    @property
    def live(self) -> bool:
        return self.begun and self.ended is None

    @property
    def tally(self) -> Tally:
        if self.ended is not None:
            return self.ended.tally
        return self.state.tally if self.state is not None else Tally()

    @property
    def denied(self) -> list[Denied]:
        """By place in the whole list."""
        if self.all_denied:
            index = self.following.index or ()
            return [Denied(self.all_denied, len(index), tuple(index[:_ROWS_SHOWN]))]
        if self.taken is None:
            return []
        listed = self.lists[self.taken.edition]
        return [Denied(one.text, one.count, tuple(listed.places(one.rows))) for one in self.taken.denied]

    def renew(self) -> None:
        """An engine that has come back knows nothing."""
        self.lost = self.taken = self.state = self.ended = None
        self.lists.clear()

    def take(self, taken: Taken) -> None:
        self.taken, self.all_denied = taken, ""
        self.lists[taken.edition] = self.following
        while len(self.lists) > _LISTS_MOST:
            del self.lists[next(iter(self.lists))]
        if self.answer is not None and not self.answer.done():
            self.answer.set_result(taken)

    def refuse(self, text: str) -> bool:
        """Whether somebody waited for an answer, and has this one now."""
        if text.startswith(_ALL_DENIED):
            self.all_denied = text.partition(": ")[2] or text
        waited = self.fail(Refused(text))
        if waited and self.taken is None:
            self.begun = False
        return waited

    def fail(self, error: Exception) -> bool:
        """Whether somebody waited for an answer, and has this one now."""
        if self.answer is None or self.answer.done():
            return False
        self.answer.set_exception(error)
        return True

    def placed(self, batch: Batch) -> Batch:
        """With places in the list that was asked for."""
        listed = self.lists.get(batch.edition, self.following)
        if listed.index is None:
            return structs.replace(batch, edition=listed.edition)
        target = array("I", listed.places(batch.column("target"))).tobytes()
        return structs.replace(batch, edition=listed.edition, columns={**batch.columns, "target": target})
