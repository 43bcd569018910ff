"""The desk of an engine: whoever connects to its socket is known by the kernel, says hello once, then gives orders.

The loop asks for orders between two ticks (`read_orders`) and gives reports (`send`); nothing here blocks. Clients are
read in turn, a few orders each, and as slowly as they read themselves: one that floods waits in its own socket buffer,
one that does not read is held back by the loop (`is_full`), and nobody else notices. Sources: unix(7), epoll(7).
"""

import logging
import os
import select
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from amon.engine.desk.connection import Client, Gone, Unreadable, peer_of
from amon.engine.messages import MESSAGE_MOST, VERSION, AnyOrder, Capture, Captured, Hello, Refused, Report, encode

_SECOND = 1_000_000_000
_MOST = 4 * 1024 * 1024
_ROW = 48
"""Bytes of a row of a batch, and some for where it came from."""


@dataclass(frozen=True, slots=True)
class Account:
    """Who may speak for a tenant, by number."""

    name: str
    uids: frozenset[int] = frozenset()
    gids: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one client may cost.

    hello: seconds until it has said hello. clients, same_user: connections at once, of all and of one user. faults:
    messages that are no orders before it is closed. rate, burst: orders per second. full: bytes it has not read before
    its jobs are held back; with twice as much it is not heard either. most: bytes before it is closed; what was under
    way when it was held still comes. pause: seconds without a new client after one could not be taken.
    """

    hello: float = 5.0
    clients: int = 64
    same_user: int = 32
    faults: int = 16
    rate: float = 2000.0
    burst: float = 2000.0
    full: int = 1024 * 1024
    most: int = _MOST
    pause: float = 1.0

    @classmethod
    def under(cls, in_flight: int) -> "Bounds":
        """For an engine that may have so many packets under way: each may end in two rows, lost and late."""
        return cls(most=_MOST + 2 * _ROW * in_flight)


@dataclass(frozen=True, slots=True)
class Said:
    """order: None when it has gone, and its jobs end. descriptors: the order's; who takes it closes them."""

    client: Client
    order: AnyOrder | None
    descriptors: tuple[int, ...] = ()


class Desk:
    """listener: None for a desk that nobody comes to by himself (`admit`). Root and the engine's own user may speak for
    every tenant."""

    def __init__(
        self, listener: socket.socket | None, accounts: Iterable[Account], bounds: Bounds | None = None
    ) -> None:
        self._listener, self._bounds = listener, bounds or Bounds()
        self._accounts = {one.name: one for one in accounts}
        self._clients: dict[int, Client] = {}
        self._gone: list[Client] = []
        self._turn = self._shut_until = 0
        self._buffer = bytearray(MESSAGE_MOST)
        self._epoll = select.epoll()
        self._log = logging.getLogger("amon.engine.desk")
        if listener is not None:
            listener.setblocking(False)
            self._epoll.register(listener.fileno(), select.EPOLLIN)

    def fileno(self) -> int:
        """To wait on: readable when `read_orders` has something to do."""
        return self._epoll.fileno()

    @property
    def clients(self) -> tuple[Client, ...]:
        """Those who have said hello."""
        return tuple(one for one in self._clients.values() if one.tenant)

    @property
    def queued(self) -> int:
        """Bytes that clients have not taken."""
        return sum(one.queued for one in self._clients.values())

    def is_full(self, client: Client) -> bool:
        """Whether its jobs must be held back: it does not take what it is sent."""
        return client.queued >= self._bounds.full

    def send(self, client: Client, message: Report) -> None:
        """Nothing happens if it has gone. One that has far too much is closed: it has stopped reading for good."""
        if client.closed:
            return
        client.put(encode(message))
        if client.queued > self._bounds.most:
            self._log.warning("closed %s: it reads nothing", client)
            self._drop(client)
        else:
            self._interest(client, heard=client.queued <= 2 * self._bounds.full)

    def read_orders(self, now: int, most: int = 64, each: int = 8) -> list[Said]:
        """What came since the last call, at most `most` messages and `each` of one client. now: monotonic ns.

        Call it once a second at least: who has to wait is not announced by `fileno`, nor who never says hello.
        `Hello` has been checked and is handed on for the answer, `Welcome`. What is not understood was answered here.
        """
        said: list[Said] = []
        ready = dict(self._epoll.poll(0))
        if self._listener is not None and (self._listener.fileno() in ready or 0 < self._shut_until <= now):
            self._accept(self._listener, now)
        for number in ready.keys() & self._clients.keys():
            if ready[number] & select.EPOLLOUT:
                self._clients[number].flush()
        for client in self._in_turn():
            events = ready.get(client.fileno(), 0)
            allowed = client.allowance(self._bounds.rate, self._bounds.burst, now)
            # What it said before it went is finite, and its going is not heard otherwise.
            heard = bool(events & select.EPOLLHUP) or (allowed > 0 and client.queued <= 2 * self._bounds.full)
            unasked = not client.interest & select.EPOLLIN  # nobody was told what it says
            if heard and (events & ~select.EPOLLOUT or unasked) and len(said) < most:
                said += self._read(client, min(each, most - len(said), max(1, allowed)))
            if not client.closed:
                self._check_hello(client, now)
            if not client.closed:
                self._interest(client, heard=heard)
        said += [Said(client, None) for client in self._gone if client.tenant]
        self._gone.clear()
        return said

    def admit(self, connected: socket.socket, now: int) -> Client:
        """A client by a socket that is already connected."""
        client = Client(connected, peer_of(connected), now)
        self._clients[client.fileno()] = client
        client.interest = select.EPOLLIN
        self._epoll.register(client.fileno(), client.interest)
        return client

    def reload(self, accounts: Iterable[Account]) -> None:
        """Who may speak for whom from now on; who may not any more is closed."""
        self._accounts = {one.name: one for one in accounts}
        for client in self.clients:
            if not self._may(client, client.tenant):
                self._refuse(client, f"tenant {client.tenant!r} is not for you any more", last=True)

    def close(self) -> None:
        """All of it but the listener."""
        for client in list(self._clients.values()):
            self._drop(client)
        self._gone.clear()
        self._epoll.close()

    def _accept(self, listener: socket.socket, now: int) -> None:
        if self._shut_until:
            self._shut_until = 0
            self._epoll.modify(listener.fileno(), select.EPOLLIN)
        for _ in range(16):
            try:
                connected, _address = listener.accept()
            except BlockingIOError:
                return
            except OSError as error:  # EMFILE: it would be ready all the time, for nothing
                self._log.warning("no client is taken for %g s: %s", self._bounds.pause, error.strerror)
                self._shut_until = now + int(self._bounds.pause * _SECOND)
                self._epoll.modify(listener.fileno(), 0)
                return
            client = self.admit(connected, now)
            same = sum(one.peer.uid == client.peer.uid for one in self._clients.values())
            if len(self._clients) > self._bounds.clients or same > self._bounds.same_user:
                self._refuse(client, "too many clients are connected; next: close some", last=True)

    def _in_turn(self) -> Iterator[Client]:
        """Everybody, another one first each time."""
        order = list(self._clients.values())
        self._turn += 1
        start = self._turn % len(order) if order else 0
        yield from (one for one in (*order[start:], *order[:start]) if not one.closed)

    def _read(self, client: Client, most: int) -> Iterator[Said]:
        for _ in range(most):
            try:
                order, descriptors = client.receive(self._buffer)
            except BlockingIOError:
                return
            except Gone:
                self._drop(client)
                return
            except Unreadable as fault:
                self._refuse(client, str(fault))
            else:
                yield from self._judge(client, order, descriptors)
            if client.closed:
                return

    def _judge(self, client: Client, order: AnyOrder, descriptors: tuple[int, ...]) -> Iterator[Said]:
        if descriptors and not (client.tenant and isinstance(order, Capture)):
            for each in descriptors:
                os.close(each)
            self._refuse(client, "a file descriptor belongs to a capture only")
        elif isinstance(order, Hello):
            yield from self._hello(client, order)
        elif not client.tenant:
            self._refuse(client, "say hello first", last=True)
        elif isinstance(order, Capture) and not descriptors:
            self.send(client, Captured(order.capture, 0, 0, text="no file descriptor came with it"))
        else:
            yield Said(client, order, descriptors)

    def _hello(self, client: Client, hello: Hello) -> Iterator[Said]:
        if client.tenant:
            self._refuse(client, "hello is said once")
        elif hello.version != VERSION:
            text = f"this engine speaks version {VERSION}, not {hello.version}; next: the same amon on both sides"
            self._refuse(client, text, last=True)
        elif not self._may(client, hello.tenant):
            who = f"user {client.peer.uid} may not speak for tenant {hello.tenant!r}"
            where = f"users or groups of [tenants.{hello.tenant}] in the engine's configuration"
            self._log.warning("refused: %s, pid %d", who, client.peer.pid)
            self._refuse(client, f"{who}; next: put it into {where}", last=True)
        else:
            client.tenant, client.name = hello.tenant, hello.client
            yield Said(client, hello)

    def _may(self, client: Client, tenant: str) -> bool:
        account = self._accounts.get(tenant)
        if account is None:
            return False
        peer = client.peer
        return peer.uid in account.uids or bool(peer.gids & account.gids) or peer.uid in (0, os.geteuid())

    def _check_hello(self, client: Client, now: int) -> None:
        if not client.tenant and now - client.since > self._bounds.hello * _SECOND:
            self._refuse(client, f"no hello within {self._bounds.hello:g} s", last=True)

    def _refuse(self, client: Client, text: str, *, last: bool = False) -> None:
        """last: it is closed after that; so it is after too many faults."""
        client.faults += 1
        client.put(encode(Refused(text)))
        if last or client.faults > self._bounds.faults:
            self._drop(client)

    def _interest(self, client: Client, *, heard: bool) -> None:
        """What is not read must not wake the loop either."""
        wanted = (select.EPOLLIN if heard else 0) | (select.EPOLLOUT if client.queued else 0)
        if wanted != client.interest:
            client.interest = wanted
            self._epoll.modify(client.fileno(), wanted)

    def _drop(self, client: Client) -> None:
        if client.closed:
            return
        del self._clients[client.fileno()]
        self._gone.append(client)
        client.close()
