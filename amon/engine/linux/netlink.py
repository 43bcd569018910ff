"""The kernel's picture of the network, as it is and as it changes: one socket for questions, one for news.

Sources: netlink(7), rtnetlink(7). News that do not fit into the receive buffer are dropped by the kernel, which says so
once (ENOBUFS): then everything has to be asked for again. No rights are needed.
"""

import socket
from collections.abc import Callable
from errno import EAGAIN, EINTR, ENOBUFS
from typing import Final

from amon.engine.linux.nlwire import DONE, DUMP, DUMP_INTR, ERROR, Message, Odd, messages, request
from amon.engine.linux.routes import RouteAsker, Routes
from amon.engine.linux.rtnetlink import GETADDR, GETLINK, GETNEIGH, GROUPS, Change, dump_request, read
from amon.engine.shapes import U64
from amon.errors import Failed

BUFFER: Final = 4 * 1024 * 1024
"""Bytes of news the kernel keeps for us, where it lets us have so many (net.core.rmem_max)."""
NEWS_MOST: Final = 1024
"""Datagrams of news read at a time, so that a network in uproar does not hold up the rest."""
_PIECE: Final = 64 * 1024
_TRIES: Final = 5
_DUMP_SECONDS: Final = 5.0


class Netlink:
    """What the kernel knows. counters: what was lost on the way to us, since it was opened."""

    def __init__(self, groups: tuple[int, ...] = GROUPS, buffer: int = BUFFER) -> None:
        self._news = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self._news.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self._news.bind((0, 0))
        for group in groups:
            self._news.setsockopt(270, 1, group)  # SOL_NETLINK, NETLINK_ADD_MEMBERSHIP: groups beyond 31 too
        self._news.setblocking(False)
        self._asker = RouteAsker()
        self.counters = {"overrun": 0, "odd": 0}

    def fileno(self) -> int:
        """Readable when there are news."""
        return self._news.fileno()

    def close(self) -> None:
        self._news.close()
        self._asker.close()

    def routes(self, high: U64, low: U64) -> Routes:
        """The kernel's way to each address; see `RouteAsker`."""
        return self._asker.ask(high, low)

    def everything(self) -> list[Change]:
        """All links, addresses and neighbours there are. Raises `Failed`."""
        return [change for kind in (GETLINK, GETADDR, GETNEIGH) for change in dump(kind)]

    def news(self) -> list[Change] | None:
        """What has changed since the last call. None: some of it was lost, so ask for `everything`."""
        changes: list[Change] = []
        whole = True
        for _ in range(NEWS_MOST):
            try:
                data, (port, _groups) = self._news.recvfrom(_PIECE)
                if port == 0:  # from the kernel, not from a process
                    changes += (change for message in messages(data) if (change := read(message)) is not None)
            except Odd:
                self.counters["odd"] += 1
                whole = False
            except OSError as error:
                if error.errno == EAGAIN:
                    break
                if error.errno != ENOBUFS:
                    raise
                self.counters["overrun"] += 1
                whole = False
        return changes if whole else None


def dump(kind: int) -> list[Change]:
    """All the kernel has of that kind (GETLINK, GETADDR, GETNEIGH). Raises `Failed`."""
    for _ in range(_TRIES):
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE) as ask:
            ask.bind((0, 0))
            ask.connect((0, 0))
            ask.settimeout(_DUMP_SECONDS)
            try:
                ask.send(request(kind, DUMP, 1, dump_request(kind)))
                return read_dump(lambda ask=ask: ask.recv(_PIECE))  # type: ignore[misc]
            except (Odd, InterruptedError):
                continue
            except OSError as error:
                raise Failed(f"the kernel does not tell its network (netlink): {error}") from error
    raise Failed("the kernel does not tell its network (netlink): it changes all the time; try again")


def read_dump(receive: Callable[[], bytes]) -> list[Change]:
    """What a dump says, to its end. Raises InterruptedError if it changed under the kernel's hands, `Odd`, OSError."""
    found: list[Change] = []
    while True:
        for message in messages(receive()):
            if message.flags & DUMP_INTR:
                raise InterruptedError(EINTR, "the dump was interrupted")
            if message.kind == DONE:
                return found
            if message.kind == ERROR:
                raise OSError(*_refusal(message))
            if (change := read(message)) is not None:
                found.append(change)


def _refusal(message: Message) -> tuple[int, str]:
    number = -int.from_bytes(message.body[:4], "little", signed=True)
    return number, f"refused with error {number}"
