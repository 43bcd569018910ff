"""Message round trips between two clients of `amon.xmpp`, beside a raw socket and beside Perl's Net::XMPP.

Each client is two processes, one that echoes and one that drives; all stay connected to one server, with TLS, and take
turns, so that a ratio compares two runs of the same second. Stream management is on in the client of `amon.xmpp` only.
On a busy machine the share by CPU time (of both clients and the server, for one round trip) is the one to believe.
"""

import asyncio
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from tests.bench.ground import ROOT, Kind, Server, cpu_seconds, folder, has_ejabberd, server
from tests.bench.rows import Row, middle
from tests.e2e.world import PASSWORD

Client = Literal["amon", "raw", "perl"]
BUDGETS = {100: 45.0, 10_240: 60.0}  # per cent of raw, by bytes of body
WINDOWS = (1, 64)
_DOMAIN = "amon.test"
_START_WITHIN = 30.0
_STOP_WITHIN = 10.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    servers: tuple[Kind, ...]
    clients: tuple[Client, ...]
    seconds: float
    repeats: int


class Trips(NamedTuple):
    """Round trips: how many a second, and the CPU seconds of all three processes for one."""

    rate: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Pair:
    """Two connected processes of one client."""

    client: Client
    echo: asyncio.subprocess.Process
    drive: asyncio.subprocess.Process
    server: int

    async def trips(self, body: int, window: int, seconds: float) -> "Trips":
        """Keeps so many messages of this size in flight for so long."""
        before = self._cpu()
        async with asyncio.timeout(seconds + 30):
            if self.client != "perl":
                await _tell(self.echo, f"{body}")
            count, took = (await _tell(self.drive, f"{body} {window} {seconds}")).split()
        return Trips(int(count) / float(took), (self._cpu() - before) / max(1, int(count)))

    def _cpu(self) -> float:
        return sum(map(cpu_seconds, (self.echo.pid, self.drive.pid, self.server)))


async def measure(quick: bool) -> list[Row]:
    both: tuple[Kind, ...] = ("prosody", "ejabberd") if has_ejabberd() and not quick else ("prosody",)
    clients: tuple[Client, ...] = ("amon", "raw", "perl") if has_perl() and not quick else ("amon", "raw")
    return await compare(Plan(both, clients, 0.3 if quick else 0.5, 1 if quick else 5))


async def compare(plan: Plan) -> list[Row]:
    rows = []
    for kind in plan.servers:
        with folder() as inside:
            jids = [f"{client}-{role}@{_DOMAIN}" for client in plan.clients for role in ("echo", "drive")]
            async with server(kind, inside, jids, plain=True) as running, AsyncExitStack() as stack:
                pairs = [await stack.enter_async_context(_pair(client, running)) for client in plan.clients]
                rows += [await _row(kind, body, window, pairs, plan) for body in BUDGETS for window in WINDOWS]
    return rows


async def _row(kind: Kind, body: int, window: int, pairs: Sequence[Pair], plan: Plan) -> Row:
    made: dict[Client, list[Trips]] = {pair.client: [] for pair in pairs}
    for _ in range(plan.repeats):
        for pair in pairs:
            made[pair.client].append(await pair.trips(body, window, plan.seconds))
    both = list(zip(made["amon"], made["raw"], strict=True))
    shares = [100 * ours.rate / raw.rate for ours, raw in both]
    rates = {client: f"{middle(one.rate for one in trips):,.0f}/s" for client, trips in made.items()}
    note = f"{rates['amon']} of {rates['raw']} raw; {min(shares):.0f} to {max(shares):.0f} %"
    note += f"; by CPU time {100 * middle(raw.cpu / ours.cpu for ours, raw in both):.0f} %"
    if "perl" in made:
        times = middle(ours.rate / perl.rate for ours, perl in zip(made["amon"], made["perl"], strict=True))
        note += f"; {times:.1f} x Net::XMPP's {rates['perl']}"
    size = f"{body} B" if body < 1000 else f"{body // 1024} KiB"
    return Row(f"messages, {kind}, {size}, {window} in flight", middle(shares), "% of raw", BUDGETS[body], "more", note)


def has_perl() -> bool:
    if shutil.which("perl") is None:
        return False
    return subprocess.run(["perl", "-MNet::XMPP", "-e", "1"], capture_output=True, timeout=30).returncode == 0


@asynccontextmanager
async def _pair(client: Client, running: Server) -> AsyncIterator[Pair]:
    """Both processes, connected; their stdin is closed at the end, which ends them."""
    ends = {role: f"{client}-{role}@{_DOMAIN}/bench" for role in ("echo", "drive")}
    made = {}
    try:
        for role, me in ends.items():
            peer = ends["drive" if role == "echo" else "echo"]
            made[role] = await asyncio.create_subprocess_exec(
                *_argv(client, role, running, me, peer),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                cwd=ROOT,
            )
            async with asyncio.timeout(_START_WITHIN):
                await _said(made[role])
        assert running.pid is not None
        yield Pair(client, made["echo"], made["drive"], running.pid)
    finally:
        for process in made.values():
            await _stop(process)


def _argv(client: Client, role: str, running: Server, me: str, peer: str) -> Iterator[str]:
    where = (role, running.host, str(running.tls_port), str(running.ca_file), me, peer, PASSWORD)
    if client == "perl":
        # Net::XMPP knows STARTTLS only.
        yield from ("perl", str(Path(__file__).with_name("netxmpp.pl")), role, running.host, str(running.c2s_port))
        yield from (str(running.ca_file), me, peer, PASSWORD)
    else:
        yield from (sys.executable, "-m", "tests.bench.partner" if client == "amon" else "tests.bench.raw", *where)


async def _tell(process: asyncio.subprocess.Process, line: str) -> str:
    assert process.stdin is not None
    process.stdin.write(f"{line}\n".encode())
    return await _said(process)


async def _said(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    line = await process.stdout.readline()
    if not line:
        raise RuntimeError(f"a partner ended with {await process.wait()}")
    return line.decode()


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    assert process.stdin is not None
    process.stdin.close()
    try:
        async with asyncio.timeout(0.5):
            await process.wait()
            return
    except TimeoutError:
        process.terminate()
    async with asyncio.timeout(_STOP_WITHIN):
        await process.wait()
