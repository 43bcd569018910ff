"""Ports for children: free ones, and ones that are held until the child comes."""

import errno
import socket
import urllib.request
from threading import Thread

import pytest

from admin_console.demo.service import Handler, Server
from admin_console.server.child import free_port, held_port, port_of
from amon.errors import Failed


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_free_port_can_be_listened_on_at_once(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    socket.create_server((host, free_port(host)), family=family).close()


def test_nobody_gets_a_held_port_but_who_shares_it() -> None:
    with held_port("127.0.0.1") as held:
        place = ("127.0.0.1", port_of(held))
        with pytest.raises(OSError, match="in use") as refused:
            socket.create_server(place)
        assert refused.value.errno == errno.EADDRINUSE
        for _ in range(2):  # as a service that ends and starts again
            with Server(place, Handler) as server:
                Thread(target=server.handle_request, daemon=True).start()
                with urllib.request.urlopen(f"http://{place[0]}:{place[1]}/", timeout=20) as answer:
                    assert answer.read() == b"at your service\n"
    socket.create_server(place).close()


def test_a_port_that_is_held_to_share_is_not_free_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    with held_port("127.0.0.1") as held:
        place = port_of(held)

        def sample(self: object, population: range, k: int) -> list[int]:
            return [place, place]

        monkeypatch.setattr("random.SystemRandom.sample", sample)
        with pytest.raises(Failed, match="no free port found"):
            held_port("127.0.0.1")
