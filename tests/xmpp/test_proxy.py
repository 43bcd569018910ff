"""Sites that have nothing but a proxy: HTTP CONNECT and SOCKS5, with TLS end to end."""

import asyncio
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec

import pytest

from amon.errors import Failed
from amon.xmpp.events import Offline, Online
from amon.xmpp.faults import Unreachable
from amon.xmpp.proxy import check_proxy, through_proxy
from tests.xmpp.party import ALICE, PASSWORD, World
from tests.xmpp.proxies import TinyProxy

PROSODY = pytest.mark.parametrize("world", ["prosody"], indirect=True)
KINDS = pytest.mark.parametrize("kind", ["http", "socks5"])


@PROSODY
@KINDS
@pytest.mark.parametrize("tls", ["starttls", "direct"])
async def test_a_session_goes_through_a_proxy_that_sees_only_tls(world: World, kind: str, tls: str) -> None:
    port = world.server.tls_port if tls == "direct" else world.server.c2s_port
    async with TinyProxy(kind, port) as proxy:
        # The name is one that only the proxy can resolve.
        async with world.party(ALICE, proxy=proxy.url, host="xmpp.inside.test", port=5222, tls=tls) as alice:
            await alice.settled()
        assert proxy.asked == ["xmpp.inside.test:5222"]
        assert b"SCRAM" not in proxy.seen
        assert b"\x16\x03" in proxy.seen


@PROSODY
@KINDS
async def test_without_a_host_the_proxy_is_asked_for_the_domain(world: World, kind: str) -> None:
    async with TinyProxy(kind, world.server.c2s_port) as proxy:
        async with world.party(ALICE, proxy=proxy.url, host=None, port=None) as alice:
            await alice.settled()
        assert proxy.asked == ["amon.test:5222"]


@PROSODY
@KINDS
async def test_a_proxy_may_ask_for_a_login(world: World, kind: str) -> None:
    async with TinyProxy(kind, world.server.c2s_port, user="site", password="s3cret") as proxy:
        async with world.party(ALICE, proxy=proxy.url) as alice:
            await alice.settled()
        async with world.party(ALICE, proxy=proxy.url.replace("s3cret", "wr0ng")) as alice:
            event = await alice.ear.wait(Offline)
            assert event.fault == "proxy"
            assert event.reason.startswith("the proxy 127.0.0.1:")
            assert "wr0ng" not in event.reason


@PROSODY
@KINDS
async def test_a_proxy_that_refuses_is_told(world: World, kind: str) -> None:
    proxy = TinyProxy(kind, world.server.c2s_port, refuse=True)
    async with proxy, world.party(ALICE, proxy=proxy.url) as alice:
        assert "does not let us to 127.0.0.1 port" in (await alice.ear.wait(Offline)).reason


@PROSODY
@KINDS
async def test_a_proxy_that_is_not_there_is_told_and_tried_again(world: World, kind: str) -> None:
    async with TinyProxy(kind, world.server.c2s_port) as proxy:
        url = proxy.url
    async with world.party(ALICE, proxy=url) as alice:
        assert "does not answer" in (await alice.ear.wait(Offline)).reason
        await alice.ear.until(lambda: len(alice.ear.all(Offline)) > 1)
        assert not alice.ear.all(Online)


@pytest.mark.parametrize(
    "url",
    [
        "proxy.test:3128",
        "ftp://p.test:1",
        "http://p.test",
        "https://p.test:443",
        f"http://u:{PASSWORD}@:1",
        "http://p:x",
    ],
)
def test_an_address_that_is_no_proxy_is_told_without_its_password(url: str) -> None:
    with pytest.raises(Failed, match="`proxy` looks like http://") as caught:
        check_proxy(url)
    assert PASSWORD not in str(caught.value)


class Hidden(MetaPathFinder):
    """Makes python-socks as good as not installed."""

    def find_spec(self, name: str, path: object, target: object = None) -> ModuleSpec | None:
        if name.partition(".")[0] == "python_socks":
            raise ImportError(name)
        return None


async def test_a_missing_library_is_named_with_the_next_step() -> None:
    hidden = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] == "python_socks"}
    finder = Hidden()
    sys.meta_path.insert(0, finder)
    try:
        with pytest.raises(Unreachable, match="pip install 'amon\\[proxy\\]'"):
            await through_proxy("http://127.0.0.1:1", "x", 1)
    finally:
        sys.meta_path.remove(finder)
        sys.modules.update(hidden)


async def test_a_cancelled_try_leaves_no_socket(world: World) -> None:
    before = asyncio.all_tasks()
    async with TinyProxy("http", world.server.c2s_port) as proxy, world.party(ALICE, proxy=proxy.url):
        pass
    assert asyncio.all_tasks() == before
