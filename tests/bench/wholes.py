"""Many sites answer fifty megabytes each at once, and one console saves them all: does it hold up anybody?

`python -m tests.bench.wholes [SITES] [MEGABYTES]`. Beside it another console asks one more site, again and again, and
is timed: while all is quiet, while the answers are made and told, and while the outputs are fetched. Looked at besides:
the memory of the saving console and of the server, and whether every file is what its site said.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from statistics import median, quantiles

import psutil

from admin_console.outputs import save_wholes
from admin_console.session import Session
from amon.errors import Failed
from amon.runtime.node import Spec
from amon.xmpp.tls import small_buffers
from site_agent.agent import Agent
from tests.bench.ground import ROOT, folder, raise_file_limit, server
from tests.e2e.lengthy import Lengthy, lengthy, log
from tests.e2e.world import ALICE, BOB, OPS, PASSWORD, World

_HERDS = 4
_EVERY = 0.25  # seconds between two questions of the other console


@dataclass(frozen=True, slots=True)
class Part:
    """What one process is told. size: characters of each answer."""

    jids: tuple[str, ...]
    host: str
    port: int
    ca: str
    folder: str
    size: int


class _Notes:
    def note(self, text: str) -> None:
        _say(note=text)


def _say(**what: object) -> None:
    print(json.dumps(what), flush=True)


async def _no_sign(message: bytes, namespace: str) -> str:
    raise Failed("no key")


async def _herd(part: Part) -> None:
    """These agents, until stdin is closed."""
    log(part.size)  # one text for all of them: what is measured is not how it is made
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    async with AsyncExitStack() as stack:
        for jid in part.jids:
            site = jid.partition("@")[0]
            where = part.host, part.port, Path(part.ca), OPS, "*@amon.test", Path(part.folder) / site
            plan = lengthy(jid, PASSWORD, *where)
            agent = await stack.enter_async_context(Agent(replace(plan, specs=(Spec("l", "l", Lengthy),))).running())
            await agent.wait_online()
        _say(online=len(part.jids))
        await lines.read()


async def _console(part: Part) -> None:
    """Ask all of them, then save all; how long each took, and how much memory this process has."""
    world, process = _world(part), psutil.Process()
    async with world.console() as fleet:
        names = tuple(sorted(jid.partition("@")[0] for jid in part.jids))
        _say(rss=process.memory_info().rss, phase="answering")
        began = time.monotonic()
        with world.asking(fleet, f"log {part.size}", *names, deadline=600.0) as job:
            job.send()
            await job.collect()
        outcomes = [row.outcome for row in job.book.rows() if row.outcome is not None]
        told = [one for one in outcomes if one.whole is not None and "--save DIR)" in one.text[-80:]]
        _say(rss=process.memory_info().rss, phase="saving", took=time.monotonic() - began, told=len(told))
        began = time.monotonic()
        session = Session(fleet, OPS, world.clock, _no_sign)
        most = asyncio.create_task(_most(process))
        saved = await save_wholes(session, outcomes, job.job.id, Path(part.folder) / "out", _Notes())
        most.cancel()
        good = sum(not one.why for one in saved)
        _say(rss=process.memory_info().rss, phase="over", took=time.monotonic() - began, saved=good)


async def _most(process: psutil.Process) -> None:
    while True:
        _say(rss=process.memory_info().rss)
        await asyncio.sleep(1.0)


def _world(part: Part) -> World:
    class Here:
        host, domain, agents, rooms = part.host, "amon.test", "agents.amon.test", "rooms.amon.test"
        c2s_port, ca_file = part.port, Path(part.ca)

        async def add_account(self, jid: str, password: str) -> None: ...
        async def restart(self) -> None: ...

    return World(Here(), Path(part.folder))


@asynccontextmanager
async def _process(kind: str, part: Part) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.wholes", kind, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    )
    assert process.stdin is not None
    try:
        process.stdin.write(json.dumps(asdict(part)).encode() + b"\n")
        yield process
    finally:
        process.stdin.close()
        try:
            async with asyncio.timeout(60):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


async def _measure(sites: int, size: int) -> None:
    jids = tuple(f"site-{number:04}@agents.amon.test" for number in range(sites))
    probed = "probed@agents.amon.test"
    with folder() as inside:
        async with server("prosody", inside, [*jids, probed, ALICE, BOB]) as running, AsyncExitStack() as stack:
            part = Part((), running.host, running.c2s_port, str(running.ca_file), str(inside), size)
            world = _world(part)
            async with world.console(settled=False) as fleet:
                await fleet.connection.create_room(OPS, members=[*jids, probed], admins=[ALICE, BOB])
            herds = [replace(part, jids=jids[number::_HERDS]) for number in range(_HERDS)]
            for one in (*herds, replace(part, jids=(probed,), size=1)):
                process = await stack.enter_async_context(_process("herd", one))
                assert process.stdout is not None
                await process.stdout.readline()
            assert running.pid is not None
            await _watched(world, replace(part, jids=jids), psutil.Process(running.pid))
            digest = sha256(log(size).encode()).hexdigest()
            files = [path for path in (inside / "out").iterdir() if path.suffix == ".txt"]
            same = sum(sha256(path.read_bytes()).hexdigest() == digest for path in files)
            print(f"{same} of {sites} files are byte for byte what the site had")


async def _watched(world: World, part: Part, prosody: psutil.Process) -> None:
    waits: dict[str, list[float]] = {"quiet": [], "answering": [], "saving": []}
    memory: dict[str, list[int]] = {"quiet": [], "answering": [], "saving": []}
    phase, console = "quiet", 0
    async with world.console(BOB) as fleet, _process("console", part) as process:
        assert process.stdout is not None

        async def probe() -> None:
            while True:
                began = time.monotonic()
                book = await world.ask(fleet, "up", "probed", deadline=60.0)
                assert str(book["probed"].state) == "done", book.summary()
                waits[phase].append(time.monotonic() - began)
                memory[phase].append(prosody.memory_info().rss)
                await asyncio.sleep(_EVERY)

        probing = asyncio.create_task(probe())
        while line := await process.stdout.readline():
            told = json.loads(line)
            console = max(console, told.get("rss", 0))
            if told.get("phase") == "over":
                print(f"saved {told['saved']} in {told['took']:.1f} s")
                break
            if "took" in told:
                print(f"answered in {told['took']:.1f} s; {told['told']} rows say what is missing and where")
            if "note" in told:
                print(f"  {told['note']}")
            if told.get("phase"):
                print(f"console {told['rss'] / 2**20:.0f} MiB before {told['phase']}")
            phase = told.get("phase", phase)
        probing.cancel()
    print(f"console at most {console / 2**20:.0f} MiB")
    for name, times in waits.items():
        worst = quantiles(times, n=20)[-1] if len(times) > 1 else max(times, default=0.0)
        rss = max(memory[name], default=0) / 2**20
        print(
            f"{name}: another console waits {median(times or [0]) * 1000:.0f} ms (95 %: {worst * 1000:.0f} ms, "
            f"worst {max(times, default=0) * 1000:.0f} ms, {len(times)} times); server {rss:.0f} MiB"
        )


def main() -> None:
    small_buffers()
    raise_file_limit()
    if sys.argv[1:2] in (["herd"], ["console"]):
        told = json.loads(sys.stdin.buffer.readline())
        part = Part(**{**told, "jids": tuple(told["jids"])})
        asyncio.run(_herd(part) if sys.argv[1] == "herd" else _console(part))
        return
    words = [int(word) for word in sys.argv[1:3]]
    sites, megabytes = words + [100, 50][len(words) :]
    asyncio.run(_measure(sites, megabytes * 1_000_000))


if __name__ == "__main__":
    main()
