"""The lab itself: what it makes works, and nothing of it stays."""

import os
import subprocess
import time

import pytest

from tests.lab.namespaces import Namespace, answer_all, namespaces, needs_root, pair
from tests.lab.responder import responder

pytestmark = [pytest.mark.lab, needs_root]


def names() -> str:
    return subprocess.run(["ip", "netns"], capture_output=True, text=True, timeout=10, check=True).stdout


def pinged(space: Namespace, target: str) -> bool:
    argv = [*space.words, "ping", "-c", "1", "-W", "2", target]
    return subprocess.run(argv, capture_output=True, timeout=10, check=False).returncode == 0


@pytest.mark.parametrize("target", ["10.64.1.2", "10.127.255.254", "fd64::1", "fd64:ffff::9"])
def test_the_kernel_answers_for_every_address(target: str) -> None:
    with pair() as lab:
        answer_all(lab.far)
        assert pinged(lab.near.space, target)


@pytest.mark.parametrize("target", ["10.64.1.2", "fd64::1"])
def test_the_responder_answers_before_the_kernel_sees_it(target: str) -> None:
    with pair() as lab, responder(lab.far.interface, lab.far.space.name) as answering:
        assert pinged(lab.near.space, target)
        assert answering.answered == 1


def test_nothing_stays_behind_a_block_that_failed() -> None:
    with pytest.raises(ZeroDivisionError):
        fail_in_a_lab()
    assert f"amon-lab-{os.getpid()}-" not in names()


def test_what_still_runs_in_a_namespace_ends_with_it() -> None:
    with namespaces("busy") as (space,):
        left = subprocess.Popen([*space.words, "sleep", "60"])
        until = time.monotonic() + 10
        while not processes_of(left, space) and time.monotonic() < until:
            pass
    assert left.wait(10) == -9


def fail_in_a_lab() -> None:
    with pair() as lab:
        assert lab.near.space.name in names()
        raise ZeroDivisionError


def processes_of(left: "subprocess.Popen[bytes]", space: Namespace) -> bool:
    said = subprocess.run(["ip", "netns", "pids", space.name], capture_output=True, text=True, timeout=10, check=True)
    return str(left.pid) in said.stdout.split()
