"""Names to addresses: literals, families, and name servers that know nothing, lie or are silent."""

import asyncio
from types import SimpleNamespace
from typing import Any

import aiodns
import dns.message
import dns.rrset
import pytest
from pycares import errno as ares

from modules.probe.names import ADDRESSES_MOST, SystemResolver, literal, sockaddr
from modules.probe.shape import Stop
from tests.modules.probe.probeworlds import udp_server


class Answers:
    """An aiodns resolver that says this."""

    def __init__(self, nodes: list[Any] | None = None, fault: Exception | None = None, silent: bool = False) -> None:
        self._nodes, self._fault, self._silent = nodes or [], fault, silent

    async def getaddrinfo(self, name: str, **options: Any) -> Any:
        if self._silent:
            await asyncio.Event().wait()
        if self._fault is not None:
            raise self._fault
        return SimpleNamespace(nodes=self._nodes)

    async def close(self) -> None:
        pass


def node(*address: Any) -> SimpleNamespace:
    return SimpleNamespace(addr=address)


def resolver(**options: Any) -> SystemResolver:
    return SystemResolver(lambda: Answers(**options), within=0.05)


async def refused(one: SystemResolver, name: str = "www.example.org") -> tuple[str, str]:
    with pytest.raises(Stop) as stop:
        await one.addresses(name, "any")
    return stop.value.state, stop.value.reason


@pytest.mark.parametrize(
    ("text", "found"), [("192.0.2.1", "192.0.2.1"), ("[2001:DB8::1]", "2001:db8::1"), ("x.org", None)]
)
def test_an_address_is_itself(text: str, found: str | None) -> None:
    assert literal(text, "any") == found


@pytest.mark.parametrize(("text", "family"), [("192.0.2.1", 6), ("::1", 4)])
def test_an_address_of_the_other_family_is_not_asked(text: str, family: Any) -> None:
    with pytest.raises(Stop, match="is wanted"):
        literal(text, family)


async def test_each_address_is_told_once_in_the_order_of_the_system() -> None:
    nodes = [node(b"2001:db8::1", 0, 0, 0), node(b"192.0.2.1", 0), node(b"192.0.2.1", 0)]
    assert await resolver(nodes=nodes).addresses("www.example.org", "any") == ["2001:db8::1", "192.0.2.1"]


async def test_of_very_many_addresses_the_first_are_taken() -> None:
    nodes = [node(f"10.0.{one >> 8}.{one & 255}".encode(), 0) for one in range(3000)]
    assert len(await resolver(nodes=nodes).addresses("www.example.org", "any")) == ADDRESSES_MOST


async def test_a_link_local_address_keeps_its_zone() -> None:
    assert await resolver(nodes=[node(b"fe80::1", 0, 0, 2)]).addresses("x", 6) == ["fe80::1%2"]


async def test_a_name_that_is_not_there_is_the_target_s_failure() -> None:
    fault = aiodns.error.DNSError(ares.ARES_ENOTFOUND, "Domain name not found")
    assert await refused(resolver(fault=fault)) == ("failed", "www.example.org: domain name not found")
    assert await refused(resolver(nodes=[])) == ("failed", "www.example.org has no address")


async def test_name_servers_that_do_not_work_say_nothing_about_the_target() -> None:
    fault = aiodns.error.DNSError(ares.ARES_ESERVFAIL, "DNS server returned general failure")
    assert (await refused(resolver(fault=fault)))[0] == "unmeasured"
    assert await refused(resolver(silent=True)) == (
        "unmeasured",
        "no name server answered about www.example.org in 0.05 s",
    )


@pytest.mark.parametrize("name", ["\ud800", "a..b", "x" * 300])
async def test_what_is_no_name_is_a_failure(name: str) -> None:
    assert (await refused(SystemResolver(), name))[0] == "failed"


async def test_an_answer_is_not_kept_for_the_next_probe() -> None:
    asked: list[bytes] = []

    def answer(data: bytes) -> list[bytes]:
        query = dns.message.from_wire(data)
        asked.append(data)
        reply = dns.message.make_response(query)
        reply.answer.append(dns.rrset.from_text(query.question[0].name, 3600, "IN", "A", "192.0.2.1"))
        return [reply.to_wire()]

    async with udp_server(answer) as port:
        one = SystemResolver(lambda: aiodns.DNSResolver(nameservers=[f"127.0.0.1:{port}"]))
        for _ in range(2):
            assert await one.addresses("www.example.org", 4) == ["192.0.2.1"]
    assert len(asked) == 2


async def test_localhost_needs_no_server() -> None:
    one = SystemResolver()
    assert set(await one.addresses("localhost", "any")) <= {"::1", "127.0.0.1"}
    assert await one.addresses("localhost", 4) == ["127.0.0.1"]


def test_a_zone_that_is_not_here_is_told() -> None:
    with pytest.raises(Stop) as stop:
        sockaddr("fe80::1%nosuch0")
    assert stop.value.state == "unmeasured"
