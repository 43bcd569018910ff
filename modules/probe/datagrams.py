"""A UDP socket to one peer for a probe: what others send does not arrive, and what came is bounded.

Sources: udp(7), ip(7). Connected, so that the kernel drops other sources and tells an ICMP error as ECONNREFUSED.
"""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from .names import family_of, sockaddr
from .shape import World

DATAGRAM_MOST = 65_535
Socket = socket.socket


@contextmanager
def talk(address: str, port: int, world: World) -> Iterator[socket.socket]:
    """Raises OSError where there is no way, and `Stop`."""
    with socket.socket(family_of(address), socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        source = world.source(address)
        if source:
            sock.bind(sockaddr(source))
        sock.connect(sockaddr(address, port))
        yield sock


async def send(sock: socket.socket, data: bytes) -> None:
    await asyncio.get_running_loop().sock_sendall(sock, data)


async def receive(sock: socket.socket) -> bytes:
    """The next one; waits for ever. Raises ConnectionRefusedError where nobody listens there."""
    return await asyncio.get_running_loop().sock_recv(sock, DATAGRAM_MOST)
