"""The Internet checksum over columns. Sources: RFC 1071; RFC 1624, 3 (the two zeros); RFC 8200, 8.1 (pseudo header).

A ones' complement sum of 16-bit words is a number modulo 65,535. So words may be added up in any width and folded once,
and a sum whose bytes are swapped is 256 times the sum (RFC 1071, 2.B).
"""

import numpy as np

from amon.engine.shapes import U16, U32, U64

MODULO = np.uint64(0xFFFF)
_HALF = np.uint64(0xFFFF_FFFF)
_32 = np.uint64(32)
_ONE = np.uint64(1)
_MOST = np.uint64(0xFFFE)
FLOWS = 256


def modulo(sums: U64) -> U64:
    """The remainders by 65,535. numpy divides by a constant in a fraction of the time that its `%` takes."""
    rest: U64 = sums - sums // MODULO * MODULO
    return rest


def text_sum(text: bytes) -> int:
    """The sum of a text as big-endian words; an odd one is filled up with a zero byte."""
    words = np.frombuffer(text + bytes(len(text) % 2), ">u2")
    return int(words.sum(dtype=np.uint64))


def halves(numbers: U64) -> U64:
    """Of each 64-bit number the sum of its two halves: modulo 65,535 the sum of its four words."""
    total: U64 = (numbers & _HALF) + (numbers >> _32)
    return total


def address_sum(high: U64, low: U64, family: int) -> U32:
    """The sum of an address's words, below 65,536; of an IPv4 address only its own two."""
    total = halves(low & _HALF) if family == 4 else halves(high) + halves(low)
    return modulo(total).astype(np.uint32)


def checksum(sums: U64) -> U16:
    """The checksums of what has these sums, none of which is 0: 0 to 0xfffe, as adding it up bit by bit gives."""
    made: U64 = _MOST - modulo(sums - _ONE)
    return made.astype(np.uint16)


def flow_checksums(ident: int) -> U16:
    """The ICMP checksum that all packets of a flow have (Paris traceroute: routers that spread load look at it), by
    flow; all different, none of them 0 or 0xffff."""
    flows = np.arange(FLOWS, dtype=np.uint64)
    return (1 + (ident + 255 * flows) % 0xFFFE).astype(np.uint16)
