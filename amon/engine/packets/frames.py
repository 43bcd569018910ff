"""Echo requests written into frames: columns in, packets out.

Sources: RFC 791, RFC 792 (echo), RFC 8200, RFC 4443, 4.1; RFC 6864 (the id of a datagram that may not be fragmented is
free); Augustin et al., "Avoiding traceroute anomalies with Paris traceroute" (2006): what tells flows apart for a
router that spreads load is constant within a flow, here the ICMP checksum and the IPv6 flow label.

    ICMP header: type, code, checksum of the flow, id of the engine, seq = low half of the slot
    payload:     slot u32 LE, nonce u64 LE, pad u16 (makes the checksum the flow's), 0 u16, identity to the end
    IPv4:        id = high half of the slot, so that eight quoted bytes name the slot

A frame is a head, written anew each time as one block, and a tail that stays: the identity.
"""

import struct
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from amon.engine.packets.checksum import checksum, flow_checksums, halves, modulo, text_sum
from amon.engine.packets.targets import NO_HOP, Targets
from amon.engine.shapes import I64, LINK, NETWORK, STRIDE, U8, U16, U32, U64

LEAST = 16
"""Bytes of payload that belong to us."""
MOST = 1972
ICMP = 8
IP = {4: 20, 6: 40}
_ETHERTYPE = {4: 0x0800, 6: 0x86DD}
_HEAD = {family: NETWORK + length + ICMP + LEAST for family, length in IP.items()}
"""Bytes of a row up to the identity."""
_DF = 0x4000
_TEMPLATES_MOST = 4096
_TWICE = np.uint64(2 * 0xFFFF)

_LAYOUT = {
    4: np.dtype(
        {
            "names": ["id", "ttl", "ip_sum", "target", "sum", "seq", "slot", "nonce", "pad"],
            "formats": [">u2", "u1", ">u2", ">u4", "<u2", ">u2", "<u4", "<u8", "<u2"],
            "offsets": [20, 24, 26, 32, 38, 42, 44, 48, 56],
            "itemsize": _HEAD[4],
        }
    ),
    6: np.dtype(
        {
            "names": ["flow", "ttl", "high", "low", "sum", "seq", "slot", "nonce", "pad"],
            "formats": [">u2", "u1", ">u8", ">u8", "<u2", ">u2", "<u4", "<u8", "<u2"],
            "offsets": [18, 23, 40, 48, 58, 62, 64, 68, 76],
            "itemsize": _HEAD[6],
        }
    ),
}


class NextHops(Protocol):
    """What of `paths.Hops` stands in a frame. version grows when any row changes."""

    smac: U8
    dmac: U8
    source_high: U64
    source_low: U64
    version: int


def spec(size: int, tos: int = 0, df: bool = False) -> int:
    """What packets of a job have in common, as one number below 2^20. size: bytes behind the ICMP header, 16 to 1972.
    tos: DSCP and ECN. df: of IPv4."""
    if not LEAST <= size <= MOST or not 0 <= tos <= 255:
        raise ValueError(f"no packet has size {size} and TOS {tos}")
    return size | tos << 11 | df << 19


class Crafter:
    """Writes probes into the frames of a transmitter.

    memory: (rows, STRIDE) of a `Transmitter`. ident: the ICMP id of this engine. identity: stands in each payload, cut
    or filled up with zeros to its size.
    """

    def __init__(self, memory: U8, ident: int, identity: bytes) -> None:
        if memory.shape[1:] != (STRIDE,):
            raise ValueError(f"a frame has {STRIDE} bytes, not {memory.shape[1:]}")
        self._memory = memory
        self._heads = {family: memory[:, :end].view(f"V{end}")[:, 0] for family, end in _HEAD.items()}
        self._ident = ident
        self._tail = identity[: MOST - LEAST].ljust(MOST - LEAST, b"\0")
        self._held = np.zeros(len(memory), np.uint16)  # per row: up to where which family's tail stands there
        self._flows = flow_checksums(ident)
        self._version = -1
        self._known: dict[int, int] = {}
        self._templates = {4: _Templates(4), 6: _Templates(6)}

    def craft(
        self,
        rows: I64,
        specs: U32,
        ttl: U8,
        flow: U8,
        slots: U32,
        nonces: U64,
        targets: Targets,
        which: U32,
        hops: NextHops,
    ) -> U16:
        """Writes a frame into each of `rows` (all different); the lengths of the IP packets.

        All columns have one length. specs: numbers of `spec`. ttl: also the hop limit. flow: 0 is the first. which:
        rows of `targets`. Where a target has no next hop, link addresses and source are zero.
        """
        if hops.version != self._version or len(self._known) > _TEMPLATES_MOST:
            self._forget(hops.version)
        family = targets.family[which]
        keys = specs.astype(np.int64) << 17 | targets.hop[which].astype(np.int64) << 1 | (family == 6)
        if len(keys) and (keys == keys[0]).all():
            work = _Work(rows, ttl, flow, slots, nonces, which)
            return self._write(int(family[0]), work, self._template(int(keys[0]), hops), targets)
        lengths = np.empty(len(rows), np.uint16)
        for one in (4, 6):
            mine = np.flatnonzero(family == one)
            if len(mine):
                work = _Work(rows[mine], ttl[mine], flow[mine], slots[mine], nonces[mine], which[mine])
                kinds, place = np.unique(keys[mine], return_inverse=True)
                numbers = np.array([self._template(key, hops) for key in kinds.tolist()])
                lengths[mine] = self._write(one, work, numbers[place], targets)
        return lengths

    def _write(self, family: int, work: "_Work", template: I64 | int, targets: Targets) -> U16:
        """template: of each, or of all."""
        made, count = self._templates[family], len(work.rows)
        heads = np.empty(count, made.heads.dtype)
        heads[:] = made.heads[template]
        fields = heads.view(_LAYOUT[family])
        low, high = work.slots & np.uint32(0xFFFF), work.slots >> np.uint32(16)
        # seq is a big-endian word, the slot two little-endian ones.
        sums = made.sum[template] + np.uint64(257) * low + high + halves(work.nonces)
        if family == 4:
            self._fill_v4(fields, work, made.ip_sum[template], high, targets)
        else:
            sums += self._fill_v6(fields, work, targets)
        wanted = self._flows[work.flow].byteswap()
        fields["sum"], fields["ttl"] = wanted, work.ttl
        fields["seq"], fields["slot"], fields["nonce"] = low, work.slots, work.nonces
        fields["pad"] = modulo(_TWICE - wanted - modulo(sums))
        self._complete(family, work.rows, made.size[template])
        self._heads[family][work.rows] = heads
        return np.full(count, made.size[template] + np.uint16(IP[family] + ICMP), np.uint16)

    def _fill_v4(self, fields: "NDArray[np.void]", work: "_Work", base: U64, high: U32, targets: Targets) -> None:
        fields["target"] = targets.low[work.which] & np.uint64(0xFFFF_FFFF)
        fields["id"] = high
        ttl = work.ttl.astype(np.uint64) << np.uint64(8)
        sums = ttl + base
        sums += high
        sums += targets.sum[work.which]
        fields["ip_sum"] = checksum(sums)

    def _fill_v6(self, fields: "NDArray[np.void]", work: "_Work", targets: Targets) -> U64:
        """Returns what target and pseudo header add to the sum."""
        fields["high"], fields["low"] = targets.high[work.which], targets.low[work.which]
        fields["flow"] = self._flows[work.flow]
        return targets.sum[work.which].astype(np.uint64) << np.uint64(8)

    def _complete(self, family: int, rows: I64, sizes: "U16 | np.uint16") -> None:
        """Sees that the identity stands in these rows as far as these sizes reach."""
        wanted = sizes | np.uint16(0x8000 if family == 6 else 0)
        lacking = (self._held[rows] - wanted) >= STRIDE  # modulo 2^16, so the other family is far away
        if not lacking.any():
            return
        rows, keys = rows[lacking], np.broadcast_to(wanted, rows.shape)[lacking]
        for key in np.unique(keys).tolist():
            some = rows[keys == key]
            begin, length = _HEAD[family], (key & 0x7FFF) - LEAST
            self._memory[some, begin : begin + length] = np.frombuffer(self._tail[:length], np.uint8)
            self._held[some] = key

    def _template(self, key: int, hops: NextHops) -> int:
        if key not in self._known:
            packet, hop, family = key >> 17, key >> 1 & 0xFFFF, 6 if key & 1 else 4
            self._known[key] = self._templates[family].add(packet, hop, hops, self._ident, self._tail)
        return self._known[key]

    def _forget(self, version: int) -> None:
        self._version = version
        self._known = {}
        self._templates = {4: _Templates(4), 6: _Templates(6)}


@dataclass(slots=True)
class _Work:
    rows: I64
    ttl: U8
    flow: U8
    slots: U32
    nonces: U64
    which: U32


class _Templates:
    """Heads with all that is constant, and the sums of it. ip_sum: of the IPv4 header. sum: of what the ICMP checksum
    is over, without target, seq and payload, its bytes swapped."""

    def __init__(self, family: int) -> None:
        self.family = family
        self.heads: NDArray[np.void] = np.zeros(0, f"V{_HEAD[family]}")
        self.ip_sum: U64 = np.zeros(0, np.uint64)
        self.sum: U64 = np.zeros(0, np.uint64)
        self.size: U16 = np.zeros(0, np.uint16)

    def add(self, packet: int, hop: int, hops: NextHops, ident: int, tail: bytes) -> int:
        family, size, tos, df = self.family, packet & 0x7FF, packet >> 11 & 0xFF, packet >> 19
        link, source = _ends(hop, hops)
        ip = _ipv4(size, tos, df, source) if family == 4 else _ipv6(size, tos, source)
        icmp = struct.pack(">BBHHH", 8 if family == 4 else 128, 0, 0, ident, 0)
        head = bytes(LINK) + link + struct.pack(">H", _ETHERTYPE[family]) + ip + icmp + bytes(LEAST)
        total = text_sum(icmp) + text_sum(tail[: size - LEAST])
        if family == 6:
            total += text_sum(source) + ICMP + size + 58
        self.heads = np.append(self.heads, np.frombuffer(head, self.heads.dtype))
        self.ip_sum = np.append(self.ip_sum, np.uint64(text_sum(ip[:20])))
        self.sum = np.append(self.sum, np.uint64(total << 8))
        self.size = np.append(self.size, np.uint16(size))
        return len(self.size) - 1


def _ends(hop: int, hops: NextHops) -> tuple[bytes, bytes]:
    """Link addresses and source address (16 bytes) of a next hop."""
    if hop == NO_HOP:
        return bytes(12), bytes(16)
    source = struct.pack(">QQ", int(hops.source_high[hop]), int(hops.source_low[hop]))
    return hops.dmac[hop].tobytes() + hops.smac[hop].tobytes(), source


def _ipv4(size: int, tos: int, df: int, source: bytes) -> bytes:
    length = IP[4] + ICMP + size
    return struct.pack(">BBHHHBBH4s4s", 0x45, tos, length, 0, _DF * df, 0, 1, 0, source[12:], bytes(4))


def _ipv6(size: int, tos: int, source: bytes) -> bytes:
    return struct.pack(">IHBB16s16s", 6 << 28 | tos << 20, ICMP + size, 58, 0, source, bytes(16))
