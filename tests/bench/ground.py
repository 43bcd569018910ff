"""What every figure stands on: a folder on this disk, private servers, accounts by the thousand, memory and CPU.

Sources: proc(5), `/proc/PID/task/TID/schedstat` (CPU time in ns, where `stat` counts in ticks of 10 ms).
"""

import asyncio
import resource
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Literal

import psutil

from admin_console.server import PrivateServer
from admin_console.server.accounts import account_file, record
from admin_console.server.files import write_private
from admin_console.server.prosody import Setup as ProsodySetup
from admin_console.server.prosody import configuration as prosody_configuration
from tests.e2e.world import ALICE, PASSWORD
from tests.servers.ejabberd import EjabberdServer
from tests.servers.ejabberd import Setup as EjabberdSetup
from tests.servers.ejabberd import configuration as ejabberd_configuration

ROOT = Path(__file__).parents[2]
_ITERATIONS = 4096  # RFC 7677, 4: the least; a login is not what is measured here
_AT_ONCE = 8  # accounts being made at a time

Kind = Literal["prosody", "ejabberd"]
Server = PrivateServer | EjabberdServer


@contextmanager
def folder() -> Iterator[Path]:
    """Below the checkout, not in /tmp: that may be memory, where syncing to the disk costs nothing."""
    above = ROOT / "build"
    above.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=above) as made:
        yield Path(made)


def raise_file_limit() -> None:
    """A thousand connections on one machine need more files than the usual 1,024; children inherit the limit."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@asynccontextmanager
async def server(kind: Kind, inside: Path, accounts: Iterable[str], *, plain: bool = False) -> AsyncIterator[Server]:
    """A running server with these accounts. plain: offers SASL PLAIN (inside TLS) for clients that know no SCRAM."""
    if kind == "prosody":
        async with _prosody(inside, accounts, plain) as prosody:
            yield prosody
        return
    async with EjabberdServer(
        inside / "ejabberd", admins=(ALICE,), configure=_plain_ejabberd if plain else ejabberd_configuration
    ) as ejabberd:
        limit = asyncio.Semaphore(_AT_ONCE)

        async def make(jid: str) -> None:
            async with limit:
                await ejabberd.add_account(jid, PASSWORD)

        await asyncio.gather(*map(make, accounts))
        yield ejabberd


@asynccontextmanager
async def _prosody(inside: Path, accounts: Iterable[str], plain: bool) -> AsyncIterator[PrivateServer]:
    configure = _plain_prosody if plain else prosody_configuration
    made = PrivateServer(
        inside / "prosody", admins=(ALICE,), contacts=True, iterations=_ITERATIONS, configure=configure
    )
    accounts = list(accounts)
    for jid in accounts[:1]:
        await made.add_account(jid, PASSWORD)  # makes the folders too
    text = record(PASSWORD, "73616c74" * 4, _ITERATIONS)  # one salt for all: a thousand PBKDF2 runs take seconds
    for jid in accounts:
        path = account_file(made.folder / "data", jid, (made.domain, made.agents))
        for above in (path.parent.parent, path.parent):
            above.mkdir(mode=0o700, exist_ok=True)
        write_private(path, text)
    async with made:
        yield made


def _plain_prosody(setup: ProsodySetup) -> str:
    return prosody_configuration(setup).replace('{ "PLAIN"; "DIGEST-MD5" }', '{ "DIGEST-MD5" }')


def _plain_ejabberd(setup: EjabberdSetup) -> str:
    return ejabberd_configuration(setup).replace("[PLAIN, DIGEST-MD5,", "[DIGEST-MD5,")


def has_ejabberd() -> bool:
    return any(Path("/usr/lib").glob("*/ejabberd-*/ebin"))


def resident(pid: int) -> float:
    """Resident memory, MB."""
    return float(psutil.Process(pid).memory_info().rss) / 1e6


def cpu_seconds(pid: int) -> float:
    """CPU time of all threads of a process so far."""
    nanoseconds = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):  # a thread that ended while we looked
            nanoseconds += int(task.joinpath("schedstat").read_text().split()[0])
    return nanoseconds / 1e9
