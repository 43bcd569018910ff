"""A target for what local users send to the engine: each message is an order or is refused, nothing else happens.

An input is several messages, each behind its length (two bytes), said by somebody who has said hello.
"""

import os
import socket
import struct
from functools import cache

from amon.engine.desk.server import Account, Bounds, Desk
from amon.engine.messages import VERSION, AnyOrder, Captured, Hello, Refused, encode, read_report
from tests.fuzz.target import Target, must

_BOUNDS = Bounds(faults=1000)
_ORDERS = 64


@cache
def account() -> Account:
    return Account("ops", frozenset({os.geteuid()}))


def pieces(data: bytes) -> list[bytes]:
    """At most 32 messages, none empty: that is how a connection ends."""
    made: list[bytes] = []
    while len(data) >= 2 and len(made) < 32:
        (length,) = struct.unpack_from(">H", data)
        made += [data[2 : 2 + length]] if data[2 : 2 + length] else []
        data = data[2 + length :]
    return made


def orders(data: bytes) -> None:
    said = pieces(data)
    desk = Desk(None, [account()], _BOUNDS)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        ours.setblocking(False)
        desk.admit(theirs, 1)
        for one in (encode(Hello(VERSION, "ops")), *said):
            ours.send(one)
        heard = [one for turn in range(2) for one in desk.read_orders(turn + 1, _ORDERS, _ORDERS)]
        must(heard[0].order == Hello(VERSION, "ops"), "hello is heard")
        must(all(isinstance(one.order, AnyOrder) and not one.descriptors for one in heard), "what is heard is an order")
        answered = [read_report(one) for one in _received(ours)]
        must(all(isinstance(one, Refused | Captured) for one in answered), "what is no order is refused")
        must(len(heard) - 1 + len(answered) == len(said), "each message is heard or answered, once")
        must(len(desk.clients) == 1, "a mistake costs nobody his connection")
    desk.close()


def _received(end: socket.socket) -> list[bytes]:
    found = []
    while True:
        try:
            found.append(end.recv(65_536))
        except BlockingIOError:
            return found


_WORDS = (
    "kind", "begin", "targets", "ready", "pause", "resume", "end", "capture", "ask", "hello", "job", "spec", "rounds",
    "interval", "addresses", "tenant", "version", "\0\x0a", "\0\x40",
)  # fmt: skip
TARGETS = (Target("orders", orders, _WORDS),)
