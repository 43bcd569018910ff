"""A scene played in network namespaces of its own, by a Python of its own: nothing of it is left, however it ends.

The outer namespace is the prober's; `peer` is another one, whose processes die with the scene.
"""

import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.waiting import until

_ROOT = Path(__file__).parents[2]
_PLAY = (
    "import asyncio, sys; from importlib import import_module; "
    "asyncio.run(getattr(import_module(sys.argv[1]), sys.argv[2])()); print('played')"
)


def play(scene: Callable[[], Awaitable[None]], within: float = 50) -> None:
    """Run a function of a test module as root of new namespaces; what it raises fails the test."""
    # With the first process of its own pid namespace everything in there dies, so no end leaves anything behind.
    unshare = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    argv = [*unshare, sys.executable, "-W", "error", "-c", _PLAY, scene.__module__, scene.__name__]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=within, check=False, cwd=_ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("played\n")


def ip(line: str, peer: int | None = None) -> None:
    """`ip` with these words, in the namespace of that process."""
    inside = [] if peer is None else ["nsenter", "-t", str(peer), "-n"]
    subprocess.run([*inside, "ip", *line.split()], check=True, capture_output=True, timeout=10)


def sysctl(name: str, value: str) -> None:
    Path("/proc/sys", *name.split(".")).write_text(value)


@contextmanager
def process(argv: list[str]) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as running:
        try:
            yield running
        finally:
            running.kill()


@contextmanager
def peer() -> Iterator[int]:
    """A namespace behind a cable: `near` here, `far` there, both up, without addresses. Yields a process in it."""
    with process(["unshare", "--net", "sleep", "120"]) as other:
        own = Path("/proc/self/ns/net").readlink()
        while Path(f"/proc/{other.pid}/ns/net").readlink() == own:
            assert other.poll() is None
        ip("link set lo up")
        cable(other.pid)
        ip("link set lo up", other.pid)
        yield other.pid


def cable(other: int, near: str = "near", far: str = "far") -> None:
    ip(f"link add {near} type veth peer name {far}")
    ip(f"link set {far} netns {other}")
    ip(f"link set {near} up")
    ip(f"link set {far} up", other)


__all__ = ["cable", "ip", "peer", "play", "process", "sysctl", "until"]
