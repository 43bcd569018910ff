"""The columns that travel inside the engine, and the two interfaces every way to the network has.

A frame is a row of `STRIDE` bytes: two of padding, Ethernet header, IP header at `NETWORK` (so on a 4-byte boundary).
What is received is a row of `SNAP` bytes from the IP header on, so that one decoder serves every way. An address is two
64-bit numbers, high and low half of IPv6; IPv4 is mapped (`::ffff:a.b.c.d`, RFC 4291, 2.5.5.2). Stamps are nanoseconds
of CLOCK_MONOTONIC, which no clock step moves.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

U8 = NDArray[np.uint8]
U16 = NDArray[np.uint16]
U32 = NDArray[np.uint32]
U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]
F64 = NDArray[np.float64]
Bools = NDArray[np.bool_]

STRIDE = 2048
LINK = 2
"""Where in a frame's row Ethernet begins."""
NETWORK = 16
"""Where in a frame's row IP begins."""
SNAP = 160
"""Bytes that are kept of a received packet: IPv6 + ICMPv6 + quoted IPv6 + ICMPv6 + 16 of payload, or IPv4 with all its
options twice."""
MAPPED = 0xFFFF_0000_0000
"""The low half of an IPv4 address, above its 32 bits."""


@dataclass(slots=True)
class Probes:
    """What to send, in the order of sending; columns of one length.

    job: row of the job. target: row in `Targets`. due: when, monotonic ns. flow: 0 is the first.
    """

    job: U16
    target: U32
    number: U32
    ttl: U8
    flow: U8
    due: I64

    def __len__(self) -> int:
        return len(self.target)

    def __getitem__(self, which: slice | I64 | Bools) -> "Probes":
        return Probes(
            self.job[which], self.target[which], self.number[which], self.ttl[which], self.flow[which], self.due[which]
        )


@dataclass(slots=True)
class Packets:
    """What came in. data: (n, w) from the IP header on, zero behind its end: w is `SNAP`, or a multiple of 8 below that
    no packet is longer than. length: of the IP packet as it came, also where `data` holds less. stamp: when it arrived.
    verified: the kernel has checked the ICMP checksums."""

    data: U8
    length: U32
    stamp: I64
    verified: bool = False

    def __len__(self) -> int:
        return len(self.data)

    def snaps(self, which: I64) -> U8:
        """(k, SNAP) of these rows, copied."""
        if self.data.shape[1] == SNAP:
            return self.data[which]
        wide = np.zeros((len(which), SNAP), np.uint8)
        wide[:, : self.data.shape[1]] = self.data[which]
        return wide


@dataclass(slots=True)
class Span:
    """`count` packets were handed to the system between these two moments, one after the other."""

    count: int
    begin: int
    end: int


@dataclass(slots=True)
class Published:
    """What became of the frames of one `publish`: the first `sum(span.count)` went out, in order; `failed` behind them
    did not and never will (the reason in `why`); the rest waits to be published again."""

    spans: Sequence[Span]
    failed: int = 0
    why: str = ""

    @property
    def sent(self) -> int:
        return sum(span.count for span in self.spans)


class Transmitter(Protocol):
    """Sends frames through one interface, or through the system's own routing.

    The loop takes rows by `rows(n)`, has them crafted in place, and publishes them later in that order; so frames are
    made ahead and only a tick's share is sent. A row always holds a whole frame. A way that sends no Ethernet begins at
    `NETWORK`; an ICMP socket begins at the ICMP header and takes TTL, TOS, DF and addresses from the IP header.
    """

    name: str
    family: int
    """4 or 6: all it can send. 0: both."""
    link: bool
    """Whether it sends the Ethernet header too, so that next hops must be known by their MAC."""
    memory: U8
    """(rows, STRIDE); rows are used round and round."""

    def rows(self, most: int) -> I64:
        """The rows for the next frames, in order, at most so many; fewer where the others are still under way."""

    def publish(self, lengths: U16) -> Published:
        """Send as many of the frames taken as there are lengths (of IP packets, in order). Never blocks."""

    def rewind(self, count: int) -> None:
        """The last `count` rows taken will not be published."""

    def errors(self) -> I64:
        """How far send stamps were off on a sample since the last call, ns: ours (interpolated) minus the kernel's of
        the same packet (SO_TIMESTAMPING). Empty where there was no sample."""

    def counters(self) -> Mapping[str, int]:
        """What it dropped or could not send, since it was opened, by the system's own names."""

    def close(self) -> None: ...


class Receiver(Protocol):
    """Takes in what may be an answer: ICMP and ICMPv6 with our id, or quoting it, as far as the way can filter."""

    name: str
    descriptor: int
    """To wait on."""

    def drain(self, most: int) -> Packets:
        """All that has come, at most so many, in the order it came. Never blocks."""

    def counters(self) -> Mapping[str, int]:
        """What was dropped on the way to us, since it was opened, by the system's own names."""

    def close(self) -> None: ...


class WayRefused(Exception):
    """This way cannot be had here: no right, no such kernel, no such interface. Its text says which and what to do."""
