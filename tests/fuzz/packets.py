"""A target for what the network sends: packets as they lie in the engine's memory, decoded and matched.

An input is several packets, each behind its length (two bytes), so that mutations reach across packets too.
"""

import struct

import numpy as np

from amon.engine.packets.decode import decode
from amon.engine.packets.replies import Replies
from amon.engine.packets.table import Table
from amon.engine.packets.targets import Targets
from amon.engine.shapes import Probes
from tests.engine import scalar
from tests.engine.packets import IDENT, THERE, received
from tests.fuzz.target import Target, must

SLOT, NONCE = 0x00050007, 0x1122334455667788
_READ = ("kind", "type", "code", "slot", "how", "nonce", "hops", "mtu")


def pieces(data: bytes) -> list[bytes]:
    """At most 32 packets; what is left over is the last one's end."""
    made: list[bytes] = []
    while len(data) >= 2 and len(made) < 32:
        (length,) = struct.unpack_from(">H", data)
        made.append(data[2 : 2 + length])
        data = data[2 + length :]
    return made


def packets(data: bytes) -> None:
    """Whatever comes in: each packet is counted once, read as one that is read alone, and only the right one counts."""
    some = pieces(data)
    for verified in (False, True):
        _decoded(some, verified)


def _decoded(some: list[bytes], verified: bool) -> None:
    replies = decode(received(some, verified), IDENT)
    counted = replies.foreign + replies.truncated + replies.bad_checksum + replies.odd
    must(counted + len(replies) == len(some), "each packet is counted once")
    for at, row in enumerate(replies.row.tolist()):
        one = scalar.read(some[row], IDENT, verified)
        must(one.verdict == "fine", "what is read is a reply")
        must(all(int(getattr(replies, name)[at]) == getattr(one, name) for name in _READ), "it says what it says alone")
    _matched(replies)


def _matched(replies: Replies) -> None:
    """With one probe under way, to each family one target."""
    targets = Targets(2)
    ends = [scalar.halves(THERE[family]) for family in (4, 6)]
    targets.add(np.array([high for high, _ in ends], np.uint64), np.array([low for _, low in ends], np.uint64))
    table = Table(16, SLOT)
    small, one = np.zeros(1, np.uint8), np.zeros(1, np.uint32)
    slots = table.take(
        Probes(np.zeros(1, np.uint16), one, one, small, small, np.zeros(1, np.int64)),
        np.array([NONCE], np.uint64), np.array([10**9]),
    )  # fmt: skip
    table.sent(slots, np.array([0]))
    table.match(replies, targets)
    closed = table.close(1)
    counts = {name: int(column[0]) for name, column in table.counts.items()}
    ended = len(closed) + counts["duplicate"] + counts["forged"] + counts["wrong_source"]
    must(len(closed) <= 1, "a probe ends once")
    must(ended + table.strays["forged"] + table.strays["stale"] == len(replies), "each reply is counted once")
    must(counts["sent"] == 1 == len(closed) + counts["in_flight"], "the books close")


_WORDS = (
    "\0\x01", "\0T", "E", "E\0\0T", "\x4f", "`", "`\0\0\0", "\x08\0", "\x0b\0", "\x03\x04", ",\0", "<\0", "3\0",
    "\x07\0\x05\0", "\0\0\0\0",
)  # fmt: skip

# A small share: atheris keeps the result of every comparison of arrays, some 27 KB an input.
TARGETS = (Target("packets", packets, _WORDS, 4),)
