"""What a packet socket receives, through memory shared with the kernel: TPACKET_V3.

Source: Documentation/networking/packet_mmap.rst, packet(7), linux/if_packet.h. The kernel fills blocks with packets of
any size one behind the other, and hands over a block when it is full or a few milliseconds old. The socket is
SOCK_DGRAM: data begins at the IP header on every kind of interface.
"""

import mmap
import socket
import struct

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from amon.engine.linux import classic
from amon.engine.shapes import I64, SNAP, U8, U32

SOL_PACKET = 263
PACKET_RX_RING, PACKET_STATISTICS, PACKET_VERSION, PACKET_IGNORE_OUTGOING = 5, 6, 10, 23
TPACKET_V3 = 2
ETH_P_ALL = 3
STATUS, PACKETS, FIRST = 2, 3, 4
"""Words of a block's head (`struct tpacket_block_desc`)."""
NEXT, SECONDS, NANOSECONDS, SNAPLEN, LENGTH, OFFSETS = 0, 1, 2, 3, 4, 6
"""Words of a packet's head (`struct tpacket3_hdr`)."""
HEAD = 48
BLOCK = 1 << 18
OLD = 8
"""ms after which a block that is not full is handed over. Stamps are the kernel's, so it costs no accuracy."""

Cut = tuple[U8, U32, I64, U32]
"""data (n, SNAP), bytes kept, realtime ns, bytes there were."""


class PacketRing:
    """size: bytes of the ring; a block is `BLOCK` of them. interface: None means all."""

    def __init__(self, interface: str | None, program: bytes, size: int) -> None:
        self._interface = interface
        self._blocks = min(max(2, size // BLOCK), 1 << 24)
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        try:
            self._set_up(program)
        except BaseException:
            self.socket.close()
            raise
        self._raw = raw = np.frombuffer(self._memory, np.uint8)
        self._words = memoryview(self._memory).cast("I")
        # A packet begins on a multiple of 8 bytes: each place it may begin at is a row of these.
        self._heads = as_strided(raw.view(np.uint32), ((len(raw) - HEAD) // 8, HEAD // 4), (8, 4), writeable=False)
        self._cuts = as_strided(raw.view(np.uint64), ((len(raw) - SNAP) // 8 + 1, SNAP // 8), (8, 8), writeable=False)
        self._block, self._at, self._left = 0, 0, 0
        self._lost = {"tp_drops": 0, "tp_freeze_q_cnt": 0}

    def _set_up(self, program: bytes) -> None:
        self.socket.setsockopt(SOL_PACKET, PACKET_VERSION, TPACKET_V3)
        # A frame's size is only a bound here, and must divide the block.
        request = struct.pack("7I", BLOCK, self._blocks, 2048, BLOCK // 2048 * self._blocks, OLD, 0, 0)
        self.socket.setsockopt(SOL_PACKET, PACKET_RX_RING, request)
        self.socket.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        self._memory = mmap.mmap(self.socket.fileno(), BLOCK * self._blocks, mmap.MAP_SHARED)
        classic.attach(self.socket, program)
        self.bind()

    def bind(self) -> None:
        """To the interface of that name as it is now. OSError: there is none."""
        self.socket.bind((self._interface or "", ETH_P_ALL))

    def take(self, most: int) -> list[Cut]:
        """What has come, at most so many, in order; copied out, and the blocks given back."""
        cuts: list[Cut] = []
        while most > 0 and (self._left or self._next_block()):
            offsets = self._offsets(min(most, self._left))
            cuts.append(self._cut(offsets))
            most -= len(offsets)
            self._left -= len(offsets)
            if not self._left:
                self._release()
        return cuts

    def _next_block(self) -> bool:
        base = self._block * BLOCK
        words = self._words
        if not words[base // 4 + STATUS] & 1:
            return False
        self._left = words[base // 4 + PACKETS]
        self._at = base + words[base // 4 + FIRST]
        if not self._left:
            self._release()
            return self._next_block()
        return True

    def _release(self) -> None:
        # The copies were made before this store; x86 keeps the order, elsewhere the kernel's poll does.
        self._words[self._block * BLOCK // 4 + STATUS] = 0
        self._block = (self._block + 1) % self._blocks

    def _offsets(self, count: int) -> NDArray[np.intp]:
        """Where the next `count` packets begin, in units of 8 bytes.

        There is no fixed stride, but packets of one size have one: it is read off the first, believed for all, and
        checked in what they say themselves. Where it does not hold the chain is followed link by link.
        """
        stride = self._words[self._at // 4]
        most = (BLOCK - self._at % BLOCK) // stride if stride else 1
        guess = (self._at + np.arange(min(count, most)) * stride) // 8
        # The last one of a block has 0 there.
        wrong = np.flatnonzero(self._heads[guess, NEXT] != stride)
        even = int(wrong[0]) + 1 if len(wrong) else len(guess)
        if even >= min(count, self._left):
            self._at = int(guess[even - 1]) * 8 + self._words[int(guess[even - 1]) * 2]
            return guess[:even]
        return self._follow(count)

    def _follow(self, count: int) -> NDArray[np.intp]:
        words, at = self._words, self._at
        found = np.empty(count, np.intp)
        for row in range(count):
            found[row] = at // 8
            at += words[at // 4]
        self._at = at
        return found

    def _cut(self, places: NDArray[np.intp]) -> Cut:
        heads = self._heads[places]
        begins = places + int(heads[0, OFFSETS] >> 16) // 8
        whole = np.minimum(begins, len(self._cuts) - 1)
        data = self._cuts[whole].view(np.uint8)
        for row in np.flatnonzero(whole != begins):  # so near to the end of the ring that a cut would go beyond it
            kept = self._raw[begins[row] * 8 :]
            data[row, : len(kept)] = kept
        stamps = heads[:, SECONDS].astype(np.int64) * 1_000_000_000 + heads[:, NANOSECONDS]
        return data, heads[:, SNAPLEN], stamps, heads[:, LENGTH]

    def statistics(self) -> dict[str, int]:
        """Packets the ring had no room for, and how often it was full, since it was made."""
        _, drops, freezes = struct.unpack("3I", self.socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 12))
        self._lost["tp_drops"] += drops
        self._lost["tp_freeze_q_cnt"] += freezes
        return dict(self._lost)

    def close(self) -> None:
        self._words.release()
        del self._heads, self._cuts, self._raw
        self._memory.close()
        self.socket.close()
