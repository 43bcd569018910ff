"""The same through proxies as sites really have them: tinyproxy (HTTP CONNECT) and microsocks (SOCKS5)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from admin_console.server.child import Child, free_port
from amon.xmpp.events import Offline
from tests.xmpp.party import ALICE, World

pytestmark = pytest.mark.lab
HERE = "127.0.0.1"


@asynccontextmanager
async def tinyproxy(folder: Path, *allowed: int) -> AsyncIterator[str]:
    port = free_port(HERE)
    lines = [f"Port {port}", f"Listen {HERE}", "Timeout 60", "MaxClients 20", f"Allow {HERE}", "BasicAuth site s3cret"]
    config = folder / "tinyproxy.conf"
    config.write_text("\n".join([*lines, *(f"ConnectPort {one}" for one in allowed)]) + "\n")
    async with running(folder, "tinyproxy", port, "tinyproxy", "-d", "-c", str(config)):
        yield f"http://site:s3cret@{HERE}:{port}"


@asynccontextmanager
async def microsocks(folder: Path) -> AsyncIterator[str]:
    port = free_port(HERE)
    words = ("microsocks", "-i", HERE, "-p", str(port), "-u", "site", "-P", "s3cret")
    async with running(folder, "microsocks", port, *words):
        yield f"socks5://site:s3cret@{HERE}:{port}"


@asynccontextmanager
async def running(folder: Path, name: str, port: int, *argv: str) -> AsyncIterator[None]:
    child = Child(name, folder / f"{name}.log")
    await child.start(argv)
    try:
        await child.wait_listening({port}, "bind failed")
        yield
    finally:
        await child.stop()


@pytest.mark.parametrize("tls", ["starttls", "direct"])
async def test_a_session_goes_through_tinyproxy(world: World, tmp_path: Path, tls: str) -> None:
    port = world.server.tls_port if tls == "direct" else world.server.c2s_port
    async with tinyproxy(tmp_path, port) as url, world.party(ALICE, proxy=url, port=port, tls=tls) as alice:
        await alice.settled()


async def test_a_session_goes_through_microsocks(world: World, tmp_path: Path) -> None:
    async with microsocks(tmp_path) as url, world.party(ALICE, proxy=url) as alice:
        await alice.settled()


async def test_a_proxy_that_lets_nobody_out_to_this_port_is_told(world: World, tmp_path: Path) -> None:
    async with tinyproxy(tmp_path, 443) as url, world.party(ALICE, proxy=url) as alice:
        event = await alice.ear.wait(Offline)
        assert event.fault == "proxy"
        assert "s3cret" not in event.reason
