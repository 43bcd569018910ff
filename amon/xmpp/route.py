"""The way to the server: SRV records, a given host, or a proxy; direct TLS where asked for."""

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any

from amon.xmpp import faults
from amon.xmpp.faults import Fault, Unreachable
from amon.xmpp.login import Login
from amon.xmpp.proxy import through_proxy


async def connect(
    make: Callable[[], Any], login: Login, context: ssl.SSLContext, within: float, random: Random | None = None
) -> None:
    """Connects the protocol that `make` gives; `Unreachable` with the last address's fault."""
    fault = Fault("name", f"no address is known for {login.domain}: set `host`")
    for host, port in await addresses(login, random or Random()):
        try:
            async with asyncio.timeout(within):
                return await _one(make, login, context, host, port)
        except (OSError, ssl.SSLError) as error:
            where = f"{host} port {port}" + (" through the proxy" if login.proxy else "")
            fault = faults.of_connection(error, where, login.domain)
    raise Unreachable(fault)


async def _one(make: Callable[[], Any], login: Login, context: ssl.SSLContext, host: str, port: int) -> None:
    loop = asyncio.get_running_loop()
    how: dict[str, Any] = {}
    if login.tls == "direct":
        how = {"ssl": context, "server_hostname": login.domain}
    if login.proxy is None:
        # uvloop has no happy eyeballs (RFC 8305): it tries the addresses one after the other.
        if not type(loop).__module__.startswith("uvloop"):
            how["happy_eyeballs_delay"] = 0.25
        await loop.create_connection(make, host, port, **how)
        return
    sock = await through_proxy(login.proxy, host, port)
    try:
        await loop.create_connection(make, sock=sock, **how)
    except BaseException:
        sock.close()
        raise


async def addresses(login: Login, random: Random, **resolver: Any) -> list[tuple[str, int]]:
    """Where to try, in order. A site that needs a proxy often cannot look up names: the proxy does."""
    if login.host or login.proxy:
        return [(login.host or login.domain, login.port or login.default_port)]
    service = "xmpps-client" if login.tls == "direct" else "xmpp-client"
    found = await _records(f"_{service}._tcp.{login.domain}", random, resolver)
    return found or [(login.domain, login.port or login.default_port)]


async def _records(name: str, random: Random, options: dict[str, Any]) -> list[tuple[str, int]]:
    """SRV records (RFC 2782) in the order to try them; none where there are none or no name server answers."""
    import aiodns  # an account with `host` never needs it

    resolver = aiodns.DNSResolver(tries=2, timeout=2.0, **options)
    answer: Any = None
    try:
        with suppress(aiodns.error.DNSError):
            answer = await resolver.query_dns(name, "SRV")
    finally:
        await resolver.close()
    records = [record.data for record in answer.answer] if answer is not None else []
    records = [record for record in records if getattr(record, "target", ".") not in ("", ".")]
    # A draw without putting back, by weight, so that a fleet spreads over the servers of a cluster.
    records.sort(key=lambda record: (record.priority, random.expovariate(max(record.weight, 0.001))))
    return [(record.target.rstrip("."), record.port) for record in records]
