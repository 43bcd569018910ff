"""Names to addresses, both families. Sources: RFC 6724 (order), RFC 6761 (localhost), c-ares getaddrinfo.

By aiodns and not by the system's getaddrinfo: that keeps a thread busy while a server is silent; nobody can stop it.
/etc/hosts and /etc/resolv.conf are read; nsswitch.conf is not, so mDNS and LDAP hosts are not known.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Callable, Sequence
from typing import Any

from .shape import Family, Stop, clean

FAMILIES: dict[Family, socket.AddressFamily] = {"any": socket.AF_UNSPEC, 4: socket.AF_INET, 6: socket.AF_INET6}
ADDRESSES_MOST = 32
"""Of one name; more are not looked at."""


def literal(text: str, family: Family) -> str | None:
    """The address that `text` is; None for a name. Raises `Stop` for one of the other family."""
    try:
        found = ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return None
    if family not in ("any", found.version):
        raise Stop("unmeasured", f"{found} is IPv{found.version} and IPv{family} is wanted")
    return str(found)


def sockaddr(address: str, port: int = 0) -> tuple[Any, ...]:
    """What a socket takes, the zone of a link-local address included. Never asks anybody."""
    flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    try:
        return socket.getaddrinfo(address, port, type=socket.SOCK_DGRAM, flags=flags)[0][4]
    except socket.gaierror as fault:  # the zone is of no interface that is here
        raise Stop("unmeasured", f"{address}: {fault.strerror}".lower()) from None


def family_of(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


class SystemResolver:
    """As this host's configuration says, read anew each time. make: gives the resolver, aiodns if not given.

    One for each name: c-ares keeps answers for up to an hour, and what a probe tells of a name would be old.
    """

    def __init__(self, make: Callable[[], Any] | None = None, within: float = 5.0) -> None:
        self._make = make or _aiodns
        self._within = within

    async def addresses(self, name: str, family: Family) -> Sequence[str]:
        found = literal(name, family)
        if found is not None:
            return (found,)
        resolver = self._make()
        try:
            said = await self._ask(resolver, name, FAMILIES[family])
        finally:
            await resolver.close()
        nodes = list(dict.fromkeys(_text(node.addr) for node in said.nodes[:ADDRESSES_MOST]))
        if not nodes:
            raise Stop("failed", f"{name} has no {'' if family == 'any' else f'IPv{family} '}address")
        return nodes

    async def _ask(self, resolver: Any, name: str, family: int) -> Any:
        import aiodns

        try:
            async with asyncio.timeout(self._within):
                return await resolver.getaddrinfo(name, family=family, type=socket.SOCK_STREAM)
        except TimeoutError:
            raise Stop("unmeasured", f"no name server answered about {name} in {self._within:g} s") from None
        except aiodns.error.DNSError as fault:
            raise _failure(name, fault) from None
        except (UnicodeError, ValueError):
            raise Stop("failed", f"{clean(name)} is not a name") from None


def _aiodns() -> Any:
    import aiodns

    return aiodns.DNSResolver(timeout=2.0, tries=2)


def _text(address: Any) -> str:
    """(b"fe80::1", port, flow, zone) to `fe80::1%2`."""
    host = address[0].decode("ascii") if isinstance(address[0], bytes) else str(address[0])
    zone = address[3] if len(address) > 3 else 0
    return f"{host}%{zone}" if zone and "%" not in host else host


def _failure(name: str, fault: Exception) -> Stop:
    """That there is no such name is the target's; that no server answered is not."""
    from pycares import errno as ares

    code, text = fault.args[0], str(fault.args[1] if len(fault.args) > 1 else fault)
    absent = code in (ares.ARES_ENOTFOUND, ares.ARES_ENODATA, ares.ARES_EBADNAME)
    return Stop("failed" if absent else "unmeasured", f"{name}: {text.lower()}")
