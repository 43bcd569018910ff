"""A server program as our child process: started so that it ends with us, watched until it listens, stopped in order.

Should this process die before it could stop its child, the kernel sends the child SIGTERM: prctl(2), PR_SET_PDEATHSIG,
set by setpriv(1) of util-linux (there on every Debian). The signal comes when the *thread* ends that started the child:
start servers from the main thread. Where setpriv is missing, a crash of ours leaves the child running; so does one in
the milliseconds before setpriv has done its work.
"""

import asyncio
import os
import random
import shutil
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from amon.errors import Failed

_START_WITHIN = 20.0
_STOP_WITHIN = 10.0
_LOOK_EVERY = 0.02


class PortTaken(Failed):
    """Somebody else listens on a port that this server was to have."""


class Child:
    """One program with its log file; started at most once at a time."""

    def __init__(self, name: str, log: Path) -> None:
        self._name, self._log = name, log
        self._process: asyncio.subprocess.Process | None = None
        self._killed = False
        self._said_before = 0

    @property
    def pid(self) -> int | None:
        """Its process while it runs."""
        if self._process is None or self._killed or self._process.returncode is not None:
            return None
        return self._process.pid

    async def start(self, argv: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        """Starts it; what it prints goes to the end of its log."""
        await self.stop()
        setpriv = shutil.which("setpriv")
        bound = [setpriv, "--pdeathsig", "TERM", "--"] if setpriv else []
        output = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            self._said_before = os.fstat(output).st_size
            self._process = await asyncio.create_subprocess_exec(
                *bound,
                *argv,
                env=environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # Ctrl-C at the terminal is ours to handle: those who are connected say goodbye first.
                start_new_session=True,
            )
        finally:
            os.close(output)
        self._killed = False

    async def wait_listening(self, ports: set[int], taken: str) -> None:
        """Waits until this very process listens on all ports; `taken` in the log means that it could not have one.

        To connect is no proof: a program that goes on without a port would leave us talking to a stranger.
        """
        try:
            async with asyncio.timeout(_START_WITHIN):
                while not ports <= self._listening():
                    if self.pid is None:
                        raise Failed(f"{self._name} ended at its start:\n{self._last_lines()}")
                    if taken in self._said():
                        named = " or ".join(str(port) for port in sorted(ports))
                        raise PortTaken(f"port {named} is taken; next: ss -ltnp")
                    await asyncio.sleep(_LOOK_EVERY)
        except TimeoutError:
            late = f"{self._name} does not listen after {_START_WITHIN:g} s"
            raise Failed(f"{late}:\n{self._last_lines()}") from None

    async def stop(self) -> None:
        """SIGTERM, then the wait for its end; SIGKILL for one that does not end."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            process.terminate()
        try:
            async with asyncio.timeout(_STOP_WITHIN):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    def kill(self) -> None:
        """SIGKILL, as a crash: its ports are closed when this returns."""
        if self._process is None or self.pid is None:
            return
        self._process.kill()
        self._killed = True
        try:
            # waitid(2): waits some ms for its end and leaves the exit status for asyncio, which learns of it later.
            os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
        except ChildProcessError:
            pass  # asyncio was quicker

    def _listening(self) -> set[int]:
        try:
            connections = psutil.Process(self.pid or 0).net_connections("tcp") if self.pid else []
        except psutil.Error:
            return set()
        return {held.laddr.port for held in connections if held.status == psutil.CONN_LISTEN}

    def _said(self) -> str:
        with self._log.open(errors="replace") as file:
            file.seek(self._said_before)
            return file.read()

    def _last_lines(self, count: int = 8) -> str:
        return "\n".join(self._said().splitlines()[-count:])


def free_port(host: str) -> int:
    """A port that nobody has at this moment."""
    with held_port(host, shared=False) as held:
        return port_of(held)


def held_port(host: str, *, shared: bool = True) -> socket.socket:
    """A port that nobody has, bound to the socket that is returned, until that is closed.

    When `shared`, a program of the same user that sets SO_REUSEPORT (socket(7)) may listen there meanwhile, and
    nobody else: what is bound and does not listen gets no connections.
    """
    # Below Linux' default ip_local_port_range: up there somebody's outgoing connection may take the port between a
    # stop and a start, and a client that retries while nobody listens may connect to itself (RFC 9293, 3.5).
    for port in random.SystemRandom().sample(range(15_000, 32_000), 200):
        held = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        try:
            held.bind((host, port))
        except OSError:
            held.close()
            continue
        # Only now: with it bind(2) would also take what somebody else of this user holds to share.
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, shared)
        return held
    raise Failed(f"no free port found on {host}; next: ss -ltn")


def port_of(held: socket.socket) -> int:
    """The port that a socket is bound to."""
    port: int = held.getsockname()[1]
    return port
