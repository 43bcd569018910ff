"""Packets as records of a pcap file, many at once.

Sources: draft-ietf-opsawg-pcap (4: file header, magic of nanoseconds; 5: records), LINKTYPE_RAW of
www.tcpdump.org/linktypes.html (the packet begins with its IP header).
"""

import struct
from dataclasses import dataclass
from typing import Final

import numpy as np

from amon.engine.shapes import I64, U8, U32

RECORD: Final = 16
"""Bytes of a record's header."""
_RAW: Final = 101
HEADER: Final = struct.pack("<IHHiIII", 0xA1B2_3C4D, 2, 4, 0, 0, 65535, _RAW)
_SECOND: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Records:
    """Records one behind the other. ends: where in `data` each of them ends."""

    data: bytes
    ends: I64

    def __len__(self) -> int:
        return len(self.ends)

    def first(self, count: int) -> "Records":
        return Records(self.data[: int(self.ends[count - 1]) if count else 0], self.ends[:count])


def records(packets: U8, lengths: U32, stamps: I64) -> Records:
    """packets: (n, width) from the IP header on. lengths: of the packets as they were; `width` bytes are kept at most.
    stamps: time of day, ns."""
    count, width = packets.shape
    kept = np.minimum(lengths, width)
    block = np.zeros((count, RECORD + width), np.uint8)
    head = np.empty((count, 4), "<u4")
    head[:, 0], head[:, 1] = np.divmod(stamps, _SECOND)
    head[:, 2], head[:, 3] = kept, lengths
    block[:, :RECORD] = head.view(np.uint8)
    block[:, RECORD:] = packets
    there = np.arange(RECORD + width) < (RECORD + kept.astype(np.int64))[:, None]
    return Records(block[there].tobytes(), np.cumsum(kept.astype(np.int64) + RECORD))
