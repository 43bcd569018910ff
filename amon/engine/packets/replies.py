"""What replies say, as columns: what decoding makes and the table takes."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from amon.engine.shapes import I64, U8, U16, U32, U64

ECHO: Final = 1
ERROR: Final = 2
EXCEEDED: Final = 3
"""Kinds of replies, each the number of what the probe becomes in `messages.STATES`: answered, unreachable, hop (time
exceeded in transit)."""
FULL: Final = 0
NAMED: Final = 1
LOW: Final = 2
"""How a reply says its slot. FULL: slot and nonce were in the payload. NAMED: high half from the IPv4 id, low half from
seq, if the id went out as we wrote it; no nonce. LOW: the low half only, no nonce."""


@dataclass(slots=True)
class Replies:
    """Packets that are about probes of ours, as columns, in the order they came; and how many were not.

    row: in the `Packets`. type, code: of ICMP. slot, how, nonce: see `FULL`; nonce 0 where there is none. source: who
    sent it. quoted: where the probe went; of an echo reply its source. hops: TTL left in it. mtu: of the next link, 0
    where nothing is said. stamp: when it arrived.
    foreign: not about an echo request of ours. truncated: too short to be told whose. bad_checksum: looks ours, but.
    odd: no IP or ICMP that the RFCs know.
    """

    row: I64
    kind: U8
    type: U8
    code: U8
    slot: U32
    how: U8
    nonce: U64
    source_high: U64
    source_low: U64
    quoted_high: U64
    quoted_low: U64
    hops: U8
    mtu: U16
    stamp: I64
    foreign: int = 0
    truncated: int = 0
    bad_checksum: int = 0
    odd: int = 0

    def __len__(self) -> int:
        return len(self.row)


def none() -> Replies:
    i, b, q = np.empty(0, np.int64), np.empty(0, np.uint8), np.empty(0, np.uint64)
    return Replies(i, b, b, b, np.empty(0, np.uint32), b, q, q, q, q, q, b, np.empty(0, np.uint16), i)
