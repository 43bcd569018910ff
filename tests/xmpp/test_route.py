"""Where a connection goes: SRV records of a name server of the test, or what the login says."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

from amon.xmpp.login import Login
from amon.xmpp.route import addresses

Record = tuple[int, int, int, str]  # priority, weight, port, target


class NameServer(asyncio.DatagramProtocol):
    """Answers SRV questions (RFC 1035, RFC 2782) from a table; other names do not exist."""

    def __init__(self, table: dict[str, list[Record]]) -> None:
        self._table = table
        self.asked: list[str] = []

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, address: Any) -> None:
        labels, place = [], 12
        while data[place]:
            labels.append(data[place + 1 : place + 1 + data[place]].decode())
            place += 1 + data[place]
        question = data[12 : place + 5]
        name = ".".join(labels)
        self.asked.append(name)
        records = self._table.get(name, [])
        flags = 0x8580 if records else 0x8583
        head = struct.pack("!2sHHHHH", data[:2], flags, 1, len(records), 0, 0)
        self._transport.sendto(head + question + b"".join(map(self._encoded, records)), address)

    def _encoded(self, record: Record) -> bytes:
        *numbers, target = record
        name = b"".join(bytes([len(part)]) + part.encode() for part in target.split(".") if part) + b"\0"
        content = struct.pack("!HHH", *numbers) + name
        return b"\xc0\x0c" + struct.pack("!HHIH", 33, 1, 60, len(content)) + content


@asynccontextmanager
async def name_server(table: dict[str, list[Record]]) -> AsyncIterator[tuple[NameServer, dict[str, Any]]]:
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(lambda: NameServer(table), ("127.0.0.1", 0))
    try:
        yield server, {"nameservers": ["127.0.0.1"], "udp_port": transport.get_extra_info("sockname")[1]}
    finally:
        transport.close()


TABLE: dict[str, list[Record]] = {
    "_xmpp-client._tcp.vo.test": [
        (20, 0, 5222, "spare.vo.test"),
        (10, 5, 443, "a.vo.test"),
        (10, 5, 5222, "b.vo.test"),
    ],
    "_xmpps-client._tcp.vo.test": [(0, 0, 443, "tls.vo.test")],
    "_xmpp-client._tcp.none.test": [(0, 0, 0, ".")],
}


async def test_records_are_tried_by_priority_and_spread_by_weight() -> None:
    first = set()
    async with name_server(TABLE) as (_, resolver):
        for seed in range(12):
            found = await addresses(Login("a@vo.test", "x"), Random(seed), **resolver)
            assert sorted(found[:2]) == [("a.vo.test", 443), ("b.vo.test", 5222)]
            assert found[2] == ("spare.vo.test", 5222)
            first.add(found[0])
    assert len(first) == 2


async def test_direct_tls_has_records_of_its_own() -> None:
    async with name_server(TABLE) as (server, resolver):
        assert await addresses(Login("a@vo.test", "x", tls="direct"), Random(1), **resolver) == [("tls.vo.test", 443)]
        assert server.asked == ["_xmpps-client._tcp.vo.test"]


async def test_without_records_the_domain_itself_is_tried() -> None:
    async with name_server(TABLE) as (_, resolver):
        assert await addresses(Login("a@plain.test", "x"), Random(1), **resolver) == [("plain.test", 5222)]
        assert await addresses(Login("a@none.test", "x"), Random(1), **resolver) == [("none.test", 5222)]
        login = Login("a@plain.test", "x", tls="direct", port=443)
        assert await addresses(login, Random(1), **resolver) == [("plain.test", 443)]


async def test_a_given_host_or_a_proxy_asks_no_name_server() -> None:
    async with name_server(TABLE) as (server, resolver):
        login = Login("a@vo.test", "x", host="10.0.0.1")
        assert await addresses(login, Random(1), **resolver) == [("10.0.0.1", 5222)]
        login = Login("a@vo.test", "x", proxy="http://p.test:1")
        assert await addresses(login, Random(1), **resolver) == [("vo.test", 5222)]
        assert not server.asked
