"""The real engine as a process in a namespace, for tests and the bench: configured, started, found by its socket."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from amon.engine.asking.client import Engine, Times, connect
from tests.lab.namespaces import Namespace
from tests.waiting import until

TENANT = "lab"
_WITHIN = 20.0
Value = str | int | float | bool | Sequence[str] | Sequence[int]


@dataclass(slots=True)
class Prober:
    """settings: of its `engine.toml`, and of its one tenant. words: what runs it, before the program's own.

    log: what it says goes into `engine.log` in its folder.
    """

    folder: Path
    space: Namespace
    settings: Mapping[str, Value]
    tenant: Mapping[str, Value]
    words: tuple[str, ...] = ()
    process: "asyncio.subprocess.Process | None" = field(default=None, repr=False)

    @property
    def path(self) -> Path:
        """Of its socket."""
        return self.folder / "socket"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def log(self) -> str:
        path = self.folder / "engine.log"
        return path.read_text(errors="replace") if path.exists() else ""

    async def start(self) -> None:
        """Until it listens. It has no pipe to us: nobody reads while it runs at full speed."""
        self.configure()
        argv = [*self.space.words, *self.words, sys.executable, "-m", "amon.engine.program.cli", "run", "--config"]
        with (self.folder / "engine.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *argv, str(self.folder / "engine.toml"), stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log
            )
        await until(lambda: self.is_up or self.process is None or self.process.returncode is not None, _WITHIN)
        assert self.is_up, f"the engine did not start: {self.log[-2000:]}"

    @property
    def is_up(self) -> bool:
        """Its socket is there a moment before it listens."""
        return any(map(_listens, (self.path, self.path.with_name("socket.0"))))

    def configure(self, settings: Mapping[str, Value] | None = None, tenant: Mapping[str, Value] | None = None) -> None:
        """Write its configuration, with these keys changed."""
        self.settings, self.tenant = {**self.settings, **(settings or {})}, {**self.tenant, **(tenant or {})}
        lines = [f"{name} = {json.dumps(value)}" for name, value in self.settings.items()]
        lines += [f"[tenants.{TENANT}]", *(f"{name} = {json.dumps(value)}" for name, value in self.tenant.items())]
        path = self.folder / "engine.toml"
        path.write_text("\n".join((f'socket = "{self.path}"', *lines)) + "\n")
        path.chmod(0o644)

    def tell(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    async def wait(self) -> int:
        assert self.process is not None
        async with asyncio.timeout(_WITHIN):
            return await self.process.wait()

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        if self.process is None or self.process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            self.tell(signal.SIGCONT)
            self.tell(number)
        try:
            await self.wait()
        except TimeoutError:
            self.tell(signal.SIGKILL)
            await self.process.wait()
            raise

    @asynccontextmanager
    async def client(self, times: Times | None = None) -> AsyncIterator[Engine]:
        async with connect(self.path, TENANT, client="lab", times=times) as engine:
            yield engine


MUCH: Mapping[str, Value] = {"rate": 5e6, "bytes": 10**10, "in_flight": 2**20}


@asynccontextmanager
async def prober(
    folder: Path,
    space: Namespace,
    *,
    interface: str = "",
    way: str = "auto",
    limits: Mapping[str, Value] = MUCH,
    words: tuple[str, ...] = (),
    **settings: Value,
) -> AsyncIterator[Prober]:
    """An engine that runs and is stopped behind the block. interface: empty for the system's routing only.

    limits: of the engine and of its tenant. words: put before the program, as `setpriv ...`.
    """
    folder.mkdir(exist_ok=True)
    wanted: dict[str, Value] = {**limits, "way": way, "log": "info", **settings}
    if interface:
        wanted["interfaces"] = [interface]
    tenant: dict[str, Value] = {**limits, "users": [str(os.getuid())]}
    one = Prober(folder, space, wanted, tenant, words)
    try:
        await one.start()
        yield one
    except Exception as error:
        ended = one.process.returncode if one.process is not None else None
        error.add_note(f"the engine (exit code {ended}) said: {one.log[-2000:]}")
        raise
    finally:
        await one.stop()


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as one:
        try:
            one.connect(str(path))
        except OSError:
            return False
        return True
