"""Probes against servers and beside tools of others: unbound, ntpsec, scamper, icmplib. What is missing is skipped."""

import asyncio
import re
import shutil
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import icmplib  # type: ignore[import-untyped]
import pytest

from modules.probe import dns, ntp, ping, trace
from modules.probe.shape import Measurement
from tests.modules.probe.probeworlds import world
from tests.modules.probe.routers import Routers, needs_network, travel

pytestmark = pytest.mark.lab
M = TypeVar("M", bound=Measurement)


def installed(name: str) -> str:
    found = shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@asynccontextmanager
async def running(*argv: str) -> AsyncIterator[None]:
    null = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*argv, stdin=null, stdout=null, stderr=null)
    try:
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), 5)
        except TimeoutError:
            process.kill()
            await process.wait()


UNBOUND = """
server:
  interface: 127.0.0.1
  port: {port}
  chroot: ""
  username: ""
  pidfile: ""
  directory: "{folder}"
  use-syslog: no
  do-daemonize: no
  do-not-query-localhost: no
  local-zone: "example.org." static
  local-data: "www.example.org. 300 IN A 192.0.2.1"
  local-data: "www.example.org. 300 IN A 192.0.2.2"
{large}
remote-control:
  control-enable: no
"""


async def test_unbound_is_understood(tmp_path: Path) -> None:
    argv, port = installed("unbound"), free_port()
    large = "\n".join(f"  local-data: 'large.example.org. 60 IN TXT \"{n:0100}\"'" for n in range(60))
    configuration = tmp_path / "unbound.conf"
    configuration.write_text(UNBOUND.format(port=port, folder=tmp_path, large=large))

    async def ask(name: str, kind: str = "A", **more: object) -> dns.Dns:
        settings = dns.Settings(name=name, type=kind, port=port, timeout=1, **more)  # type: ignore[arg-type]
        return await dns.measure("127.0.0.1", settings, world())

    async with running(argv, "-d", "-c", str(configuration)):
        await ready(lambda: ask("www.example.org"), lambda one: one.good)
        good = await ask("www.example.org", answers=("192.0.2.1", "192.0.2.2"), authoritative=True)
        assert (good.state, good.code, good.records, good.ttl) == ("good", "NOERROR", 2, 300), good.explain()
        none = await ask("none.example.org", code="NXDOMAIN")
        assert (none.state, none.code) == ("good", "NXDOMAIN")
        long = await ask("large.example.org", "TXT")
        assert (long.good, long.truncated, long.transport, long.records) == (True, True, "tcp", 60), long.explain()
        assert (await ask("large.example.org", "TXT", transport="tcp")).size == long.size


async def ready(ask: Callable[[], Awaitable[M]], enough: Callable[[M], bool], within: float = 30.0) -> M:
    """Until a server that was just started says so."""
    end = time.monotonic() + within
    while not enough(found := await ask()) and time.monotonic() < end:  # noqa: ASYNC110
        await asyncio.sleep(0.1)
    return found


NTP = """
refclock local stratum 5 minpoll 3 maxpoll 3 prefer
tos minsane 1 mincandist 1
restrict default nomodify
interface ignore wildcard
interface listen 127.0.0.1
"""


@needs_network
def test_ntpsec_is_understood(tmp_path: Path) -> None:
    # In namespaces of its own, one of users among them: there it may not set this machine's clock.
    argv = installed("ntpd")
    configuration = tmp_path / "ntp.conf"
    configuration.write_text(NTP)

    async def body() -> ntp.Ntp:
        allow = await asyncio.create_subprocess_exec("sysctl", "-q", "-w", "net.ipv4.ip_unprivileged_port_start=0")
        await allow.wait()
        async with running("unshare", "-Ur", argv, "-n", "-c", str(configuration), "-p", "/dev/null"):
            return await ready(
                lambda: ntp.measure("127.0.0.1", ntp.Settings(timeout=0.2), world()),
                lambda one: one.stratum not in (None, 0),
            )

    found = travel(Routers(), body)
    assert (found.stratum, found.version, found.reference) == (6, 4, "127.127.1.0"), found.explain()
    assert abs(found.offset or 1) < 0.05  # it is the same clock
    assert (found.root_dispersion or 0) > 0


@needs_network
def test_scamper_sees_the_same_path() -> None:
    argv = installed("scamper")
    hops = [["10.1.0.1"], [f"10.2.0.{one}" for one in range(1, 6)], ["10.3.0.1", "10.3.0.2"]]

    async def theirs() -> str:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            argv, "-I", "tracelb -P icmp-echo -w 1 192.0.2.9", stdout=pipe, stderr=asyncio.subprocess.DEVNULL
        )
        said, _ = await asyncio.wait_for(process.communicate(), 40)
        return said.decode()

    said = travel(Routers(hops), theirs)
    settings = trace.Settings(count=1, multipath=True, timeout=0.5)
    found = travel(Routers(hops), lambda: trace.measure("192.0.2.9", settings, world()))
    ours = [{hop.address, *(one.address for one in hop.others)} for hop in found.hops]
    path = next(line for line in said.splitlines() if "->" in line)
    assert [set(re.findall(r"[0-9.]+", part)) for part in path.split("->")] == ours


@needs_network
def test_icmplib_counts_and_sees_the_same() -> None:
    routers = ["10.1.0.1", "10.2.0.1", "10.3.0.1"]
    hops = [[router] for router in routers]

    async def theirs() -> tuple[int, int, list[str]]:
        host = await icmplib.async_ping("192.0.2.9", count=5, interval=0.05, timeout=1, privileged=True)
        path = await asyncio.to_thread(icmplib.traceroute, "192.0.2.9", count=1, interval=0.01, timeout=1)
        return host.packets_sent, host.packets_received, [hop.address for hop in path]

    async def ours() -> tuple[int, int, list[str]]:
        counted = await ping.measure("192.0.2.9", ping.Settings(count=5, interval=0.05, timeout=1), world())
        path = await trace.measure("192.0.2.9", trace.Settings(count=1, timeout=1), world())
        return counted.sent, counted.answered, [hop.address for hop in path.hops]

    assert (
        travel(Routers(hops), theirs) == travel(Routers(hops), ours) == (5, 5, [*(one for (one,) in hops), "192.0.2.9"])
    )
