"""What systemd hears, through a real datagram socket."""

import asyncio
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from amon.notify import Notify


@pytest.fixture
def ear(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(str(tmp_path / "notify"))
        bound.settimeout(5)
        yield bound


def heard(ear: socket.socket) -> list[str]:
    return ear.recv(4096).decode().split("\n")


def test_each_turn_of_a_life_is_told(ear: socket.socket) -> None:
    notify = Notify(ear.getsockname())
    notify.ready("two\naccounts")
    assert heard(ear) == ["READY=1", "STATUS=two accounts"]
    before = time.monotonic_ns() // 1000
    notify.reloading()
    reloading, since, _ = heard(ear)
    assert reloading == "RELOADING=1"
    assert before <= int(since.removeprefix("MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000
    notify.stopping()
    assert heard(ear)[0] == "STOPPING=1"


def test_an_abstract_socket_is_reached() -> None:
    name = f"amon-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(f"\0{name}")
        bound.settimeout(5)
        Notify(f"@{name}").status("here")
        assert heard(bound) == ["STATUS=here"]


async def test_the_watchdog_hears_twice_in_its_time_and_no_more_when_the_loop_is_stuck(ear: socket.socket) -> None:
    alive = asyncio.create_task(Notify(ear.getsockname(), 0.1).keep_alive())
    loop = asyncio.get_running_loop()
    ear.setblocking(False)
    started = loop.time()
    for _ in range(3):
        assert await loop.sock_recv(ear, 100) == b"WATCHDOG=1"
    assert loop.time() - started >= 0.1 - 0.01
    ear.settimeout(0.3)
    with pytest.raises(TimeoutError):
        ear.recv(100)  # blocks the loop: the ping must come from it, not from a thread
    alive.cancel()


async def test_without_a_watchdog_nothing_is_pinged() -> None:
    await Notify("/nowhere").keep_alive()


def test_the_variables_are_taken_and_a_watchdog_of_somebody_else_is_left_alone() -> None:
    environment = {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "2000000", "WATCHDOG_PID": "7", "PATH": "/bin"}
    assert Notify.from_environment(dict(environment), 7).watchdog == 2.0
    assert Notify.from_environment(environment, 8).watchdog is None
    assert environment == {"PATH": "/bin"}


@pytest.mark.parametrize("usec", ["", "0", "soon", "-5", "²"])
def test_a_watchdog_time_that_is_none_is_none(usec: str) -> None:
    assert Notify.from_environment({"WATCHDOG_USEC": usec}, 1).watchdog is None


def test_nobody_to_tell_and_a_listener_that_is_gone_are_no_error(tmp_path: Path) -> None:
    Notify().ready("x")
    Notify(str(tmp_path / "gone")).ready("x")
