"""A sample of the frames of an AF_XDP socket, sent through a packet socket instead: for the kernel's stamps of sending.

Sources: packet(7), netdevice(7); Documentation/networking/timestamping.rst. What the interface says of itself is asked
through the same socket.
"""

import ctypes
import errno
import fcntl
import socket
import struct
from collections.abc import Sequence

import numpy as np

from amon.engine.linux.sendstamps import SO_TIMESTAMPING, TX_SOFTWARE, SendStamps
from amon.engine.shapes import LINK, NETWORK, U8, Span
from amon.engine.ways.sending import ABSENT

SIOCETHTOOL, ETHTOOL_GLINK = 0x8946, 0x0A  # linux/sockios.h, linux/ethtool.h
SIOCGIFMTU = 0x8921
SOL_PACKET, PACKET_QDISC_BYPASS = 263, 20
STAMPED = ((socket.SOL_SOCKET, SO_TIMESTAMPING, struct.pack("=I", TX_SOFTWARE)),)
SHORT = np.zeros(NETWORK - LINK - 1, np.uint8)


class Companion:
    """A packet socket on the same interface. every: see `SendStamps`. Raises OSError."""

    def __init__(self, interface: str, every: int) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._interface = interface
        try:
            self._socket.bind((interface, 0))
            self._socket.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, 1)
        except OSError:
            self._socket.close()
            raise
        self.stamps = SendStamps(self._socket, every)

    def warm_up(self) -> None:
        """A path through the system that is used once in a while is slow at first, which is not what is to be measured:
        go it with a frame that is too short to be sent."""
        self.send(SHORT)

    def send(self, frame: U8) -> int:
        """0, or the error's number. Never blocks."""
        try:
            self._socket.sendmsg([frame.data], STAMPED, socket.MSG_DONTWAIT)
        except OSError as error:
            return error.errno or errno.EIO
        return 0

    def has_carrier(self) -> bool:
        """By ethtool, which knows at once; IFF_RUNNING lags behind. True where the device does not say."""
        value = (ctypes.c_uint32 * 2)(ETHTOOL_GLINK, 1)  # struct ethtool_value
        request = struct.pack("=16sQ16x", self._interface.encode(), ctypes.addressof(value))
        try:
            fcntl.ioctl(self._socket, SIOCETHTOOL, request)
        except OSError as error:
            return error.errno not in ABSENT
        return bool(value[1])

    def mtu(self) -> int:
        """Of the interface now; 0 where it is gone."""
        try:
            answer = fcntl.ioctl(self._socket, SIOCGIFMTU, struct.pack("=16s24x", self._interface.encode()))
        except OSError:
            return 0
        return int(struct.unpack_from("=i", answer, 16)[0])

    def close(self) -> None:
        self._socket.close()


def as_if_not_alone(before: Sequence[Span], sample: Span, after: Sequence[Span]) -> int:
    """The stamp of a frame sent by itself between others, off by what interpolation over one batch of them all would
    be off at this place."""
    middle = (sample.begin + sample.end) // 2
    if not before:
        return middle
    others = (*before, *after)
    share = sum(span.end - span.begin for span in others) / sum(span.count for span in others)
    return round(middle + before[0].begin + share * sum(span.count for span in before) - before[-1].end)
