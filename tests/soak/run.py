"""`make soak HOURS=8`: a small fleet lives through what networks do, and its memory is watched.

The server goes down and comes back; one site's account is authorised only after a while, another's never; one site
hangs on a cable that is pulled silently again and again; a console asks them all the while, and somebody reads a
session too slowly. Memory has to stay flat: every sample after the warm-up within 2 MB of their median.

A refused login is tried again after 150 to 300 s, and a quarter of the time passes before the account is there: less
than 0.15 hours are too short for the agent that comes late, and fail for that.
"""

import argparse
import asyncio
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import psutil

from admin_console.server import PrivateServer
from amon.runtime.fleet import Fleet
from tests.e2e.world import ALICE, BOB, OPS, PASSWORD, AgentProcess, World
from tests.soak.network import Cable, cable
from tests.soak.samples import Life, table

ROOT = Path(__file__).parents[2]
HERE, THERE = "10.213.78.1", "10.213.78.2"
_BEFORE, _AFTER = "agent early, not authorised", "agent early, authorised"
_EVERY = 5.0  # seconds between two samples
_UP, _DOWN = (130.0, 200.0), (5.0, 40.0)  # of the server
_PLUGGED, _PULLED = (20.0, 60.0), (3.0, 45.0)  # of the cable
MODULES = """
[instance.uptime]
[instance.host]
[instance.service.settings.services.talker]
driver = "process"
argv = ["/bin/sh", "-c", "while sleep 1; do seq 20; done"]
"""


class Soak:
    """One fleet, its troubles and the samples taken."""

    def __init__(self, seconds: float, seed: int, inside: Path) -> None:
        self.lives: dict[str, Life] = {}
        self.events = {"server down": 0, "cable pulled": 0}
        self.began = time.monotonic()
        self._seconds, self._random, self._inside = seconds, random.Random(seed), inside
        self._pids: dict[str, int] = {}

    def left(self) -> float:
        return self.began + self._seconds - time.monotonic()

    def watch(self, what: str, pid: int) -> None:
        """From now on; under a new name, too, if the process begins another part of its life."""
        for known, its in list(self._pids.items()):
            if its == pid:
                del self._pids[known]
        self._pids[what] = pid
        self.lives[what] = Life(what)

    async def run(self) -> dict[str, int]:
        """How the console's jobs came out."""
        async with AsyncExitStack() as stack:
            wire = await stack.enter_async_context(cable(f"soak{os.getpid() % 10_000}", HERE, THERE))
            server = PrivateServer(self._inside / "server", admins=(ALICE,), host=HERE, iterations=4096)
            await stack.enter_async_context(server)
            world = World(server, self._inside)
            await world.set_up()
            stack.push_async_callback(world.stop)
            for name in ("steady", "flapping", "early", "never"):
                await world.add_site(name, MODULES)
            await self._start(world, "steady", ())
            await self._start(world, "flapping", wire.inside)
            _configure(self._inside / "console.toml", server)
            console = await stack.enter_async_context(self._program("asker"))
            await _says(console, b"online")
            self.watch("console", console.pid)
            slow = await stack.enter_async_context(self._program("slow"))
            await _says(slow, b"online")
            eyes = await stack.enter_async_context(world.console(BOB))
            for name in ("early", "never"):  # after all have asked to see them, as when accounts were enrolled long ago
                _account(world, name).rename(self._inside / name / "account")
                await self._start(world, name, ())
            await self._live(server, wire, world.sites["early"], eyes)
            return {**await _result(console), **await _result(slow)}

    async def _start(self, world: World, name: str, prefix: tuple[str, ...]) -> None:
        site = world.sites[name]
        await site.start(prefix=prefix)
        self.watch(f"agent {name}" if name != "early" else _BEFORE, site.pid)

    @asynccontextmanager
    async def _program(self, name: str) -> AsyncIterator[asyncio.subprocess.Process]:
        config = self._inside / "console.toml"
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", f"tests.soak.{name}", str(config)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, **{f"XDG_{kind}_HOME": str(self._inside / kind) for kind in ("STATE", "CACHE", "DATA")}},
            cwd=ROOT,
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.terminate()
                await process.wait()

    async def _live(self, server: PrivateServer, wire: Cable, early: AgentProcess, eyes: Fleet) -> None:
        self.lives[_AFTER] = Life(_AFTER)  # its row is there, and not flat, even if it never comes
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._sample(early, eyes))
            tasks.create_task(self._trouble("server down", _UP, _DOWN, server.stop, server.start))
            tasks.create_task(self._trouble("cable pulled", _PLUGGED, _PULLED, wire.pull, wire.put_back))
            tasks.create_task(self._authorise(server, early))

    async def _sample(self, early: AgentProcess, eyes: Fleet) -> None:
        while self.left() > 0:
            if _BEFORE in self._pids and eyes.sites[early.name].online:
                self.watch(_AFTER, early.pid)
            for what, pid in self._pids.items():
                size = psutil.Process(pid).memory_info().rss / 1e6
                self.lives[what].samples.append((time.monotonic() - self.began, size))
            await asyncio.sleep(max(0.0, min(_EVERY, self.left())))

    async def _trouble(
        self,
        what: str,
        well: tuple[float, float],
        ill: tuple[float, float],
        begin: Callable[[], Awaitable[None]],
        end: Callable[[], Awaitable[None]],
    ) -> None:
        while True:
            await asyncio.sleep(min(self._random.uniform(*well), max(0.0, self.left())))
            if self.left() <= ill[1]:
                return
            await begin()
            self.events[what] += 1
            await asyncio.sleep(self._random.uniform(*ill))
            await end()

    async def _authorise(self, server: PrivateServer, early: AgentProcess) -> None:
        await asyncio.sleep(self._seconds / 4)
        (early.folder / "account").rename(_place(server.folder, early.name, server.agents))


def _configure(path: Path, server: PrivateServer) -> None:
    said = {"jid": ALICE, "password": PASSWORD, "room": OPS, "host": server.host, "ca_file": str(server.ca_file)}
    path.write_text("".join(f'{key} = "{value}"\n' for key, value in said.items()) + f"port = {server.c2s_port}\n")
    path.chmod(0o600)


def _account(world: World, name: str) -> Path:
    return _place(world.folder / "server", name, world.server.agents)


def _place(folder: Path, name: str, domain: str) -> Path:
    """Where Prosody keeps an account."""
    from admin_console.server.accounts import account_file

    return account_file(folder / "data", f"{name}@{domain}", (domain,))


async def _says(process: asyncio.subprocess.Process, word: bytes) -> None:
    assert process.stdout is not None
    async with asyncio.timeout(60):
        if (await process.stdout.readline()).strip() != word:
            raise RuntimeError("a program of the soak did not start")


async def _result(process: asyncio.subprocess.Process) -> dict[str, int]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    async with asyncio.timeout(60):
        found: dict[str, int] = json.loads(await process.stdout.read())
        await process.wait()
    return found


def refusal(uid: int, find: Callable[[str], str | None] = shutil.which) -> str:
    """Why it cannot run here; empty if it can."""
    if uid != 0:
        return "the soak makes network namespaces, which only root may; next: run it as root, or in a container"
    missing = [program for program in ("ip", "prosody") if find(program) is None]
    if missing:
        return f"{' and '.join(missing)} not found; next: apt-get install iproute2 prosody"
    return ""


def main() -> int:
    parser = argparse.ArgumentParser(description="Let a small fleet live through faults, and watch its memory.")
    parser.add_argument("--hours", type=float, default=0.33)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    why = refusal(os.geteuid())
    if why:
        print(why, file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="amon-soak-") as folder:
        soak = Soak(3600 * options.hours, options.seed, Path(folder))
        counts = asyncio.run(soak.run())
    lives = list(soak.lives.values())
    print(f"{options.hours:g} h, seed {options.seed}; " + ", ".join(f"{k}: {v}" for k, v in soak.events.items()))
    print("console: " + ", ".join(f"{count} {state}" for state, count in sorted(counts.items())))
    print(table(lives))
    return 0 if all(life.flat for life in lives) else 1


if __name__ == "__main__":
    sys.exit(main())
