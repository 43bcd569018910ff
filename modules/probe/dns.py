"""A question to one name server: how fast, which code, and whether the answer is what it should be. By dnspython.

Sources: RFC 1035 (messages, TCP framing in 4.2.2), RFC 7766 (over TCP when truncated), RFC 6891 (EDNS), RFC 5452 (what
proves an answer: address, port, id, question).
"""

import asyncio
import ipaddress
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from amon.fields import Field
from amon.units import format_quantity

from . import datagrams
from .shape import Family, Measurement, Port, Stop, Timeout, Trial, World, clean, need
from .streams import connect

if TYPE_CHECKING:
    from dns.message import Message

BOGUS_MOST = 100
"""Datagrams that are no answer to our question; after so many nobody listens any more."""
ANSWERS_MOST = 100

Type = Literal["A", "AAAA", "CAA", "CNAME", "DNSKEY", "DS", "HTTPS", "MX", "NS", "PTR", "SOA", "SRV", "TLSA", "TXT"]
Code = Literal["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"]
Name = Annotated[str, Field("what to ask for; an address for PTR", pattern=r"[!-~]+", longest=255)]
Record = Annotated[str, Field("as it is written in a zone", pattern=r"[ -~]+", longest=512)]


@dataclass(frozen=True, slots=True)
class Settings:
    name: Name = "."
    type: Annotated[Type, Field("which records")] = "NS"
    transport: Annotated[Literal["udp", "tcp"], Field("udp goes on over tcp when truncated")] = "udp"
    port: Port = 53
    timeout: Timeout = 3.0
    recursion: Annotated[bool, Field("let the server ask others")] = True
    dnssec: Annotated[bool, Field("ask for signatures, too")] = False
    payload: Annotated[int, Field("largest answer over UDP", unit="B", least=512, most=4096)] = 1232
    code: Annotated[Code, Field("which is right")] = "NOERROR"
    answers: Annotated[tuple[Record, ...], Field("records that must be there", longest=50)] = ()
    empty: Annotated[bool, Field("no records are right, too")] = False
    authoritative: Annotated[bool, Field("only an authoritative answer is right")] = False
    family: Family = "any"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dns(Measurement):
    question: Annotated[str, Field("name and type")] = ""
    transport: Annotated[str, Field("the one that the answer came by")] = ""
    connect: Annotated[float | None, Field("until the connection stood, over tcp", unit="s")] = None
    rtt: Annotated[float | None, Field("from question to answer", unit="s")] = None
    code: Annotated[str, Field("NOERROR, NXDOMAIN, ...")] = ""
    flags: Annotated[str, Field("QR AA TC RD RA AD CD")] = ""
    size: Annotated[int, Field("of the answer", unit="B")] = 0
    records: Annotated[int, Field("in the answer section", unit="1")] = 0
    ttl: Annotated[int | None, Field("least of them", unit="s")] = None
    truncated: Annotated[bool, Field("over UDP it did not fit")] = False
    bogus: Annotated[int, Field("datagrams that were no answer to it", unit="1")] = 0
    answers: Annotated[tuple[str, ...], Field("the first hundred")] = ()

    def summary(self) -> str:
        if not self.code:
            return ""
        parts = [f"{self.question}: {self.code}"]
        if self.rtt is not None:
            parts[0] += f" in {format_quantity(self.rtt, 's')} by {self.transport}"
        if self.answers:
            more = f" and {self.records - 3} more" if self.records > 3 else ""
            parts.append(", ".join(self.answers[:3]) + more)
        if self.bogus:
            parts.append(f"{self.bogus} bogus")
        return ", ".join(parts)


async def measure(target: str, settings: Settings, world: World) -> Dns:
    trial = Trial(Dns(target=target, question=f"{settings.name} {settings.type}"), world)
    return await trial.run(_ask(target, settings, trial), settings.timeout)


async def _ask(target: str, settings: Settings, trial: Trial[Dns]) -> None:
    query = _query(settings, trial.world)
    address = await trial.resolve(target, settings.family)
    if settings.transport == "udp":
        await _by_udp(address, query, settings, trial)
    over_udp = trial.known.truncated
    if settings.transport == "tcp" or over_udp:
        await _by_tcp(address, query, settings, trial)
    _judge(settings, trial)
    trial.know(truncated=over_udp or trial.known.truncated)


def _query(settings: Settings, world: World) -> "Message":
    message, exception, reverse = need("dns.message"), need("dns.exception"), need("dns.reversename")
    try:
        name: Any = settings.name
        if settings.type == "PTR" and _is_address(settings.name):
            name = reverse.from_address(settings.name)
        query: Message = message.make_query(
            name,
            settings.type,
            use_edns=0,
            payload=settings.payload,
            want_dnssec=settings.dnssec,
            id=world.random.getrandbits(16),
            flags=0x0100 if settings.recursion else 0,
        )
        query.to_wire()
    except (exception.DNSException, ValueError, UnicodeError) as wrong:
        raise Stop("unmeasured", f"{settings.name} cannot be asked for: {wrong}") from None
    return query


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


async def _by_udp(address: str, query: "Message", settings: Settings, trial: Trial[Dns]) -> None:
    with datagrams.talk(address, settings.port, trial.world) as sock:
        began = trial.elapsed
        await datagrams.send(sock, query.to_wire())
        trial.say(f"asked {address} port {settings.port} over UDP")
        async for data in _datagrams(sock):
            answer = read(data, query)
            if answer is not None:
                _note(answer, len(data), "udp", trial.elapsed - began, trial)
                return
            trial.know(bogus=trial.known.bogus + 1)
            trial.say(f"{len(data)} B that are no answer to it")
    raise Stop("failed", f"{BOGUS_MOST} datagrams came, and none of them answers")


async def _datagrams(sock: Any) -> AsyncIterator[bytes]:
    for _ in range(BOGUS_MOST):
        yield await datagrams.receive(sock)


async def _by_tcp(address: str, query: "Message", settings: Settings, trial: Trial[Dns]) -> None:
    async with connect(address, settings.port, trial) as link:
        trial.know(connect=link.connect)
        wire = query.to_wire()
        began = trial.elapsed
        link.writer.write(len(wire).to_bytes(2, "big") + wire)
        trial.say("asked over TCP")
        try:
            length = int.from_bytes(await link.reader.readexactly(2), "big")
            data = await link.reader.readexactly(length)
        except asyncio.IncompleteReadError as cut:
            raise Stop("failed", f"the server closed after {len(cut.partial)} B of an answer") from None
        answer = read(data, query)
        if answer is None:
            raise Stop("failed", f"the {length} B that came are no answer to it")
        _note(answer, length, "tcp", trial.elapsed - began, trial)


def read(data: bytes, query: "Message") -> "Message | None":
    """The answer to the question; None for what is none, or is no message at all."""
    message, exception = need("dns.message"), need("dns.exception")
    try:
        answer: Message = message.from_wire(data, one_rr_per_rrset=False, ignore_trailing=True)
        return answer if query.is_response(answer) else None
    except (exception.DNSException, ValueError, IndexError):
        return None


def _note(answer: "Message", size: int, transport: str, rtt: float, trial: Trial[Dns]) -> None:
    flags, rcode = need("dns.flags"), need("dns.rcode")
    texts = [clean(item.to_text()) for rrset in answer.answer for item in rrset]
    trial.know(
        transport=transport,
        rtt=rtt,
        code=rcode.to_text(answer.rcode()),
        flags=flags.to_text(answer.flags),
        size=size,
        records=len(texts),
        ttl=min((rrset.ttl for rrset in answer.answer), default=None),
        truncated=bool(answer.flags & flags.TC),
        answers=tuple(texts[:ANSWERS_MOST]),
    )
    known = trial.known
    trial.say(f"{known.code} with {known.records} records, {size} B, flags {known.flags}")
    for text in known.answers:
        trial.say(f"  {text}")


def _judge(settings: Settings, trial: Trial[Dns]) -> None:
    known = trial.known
    missing = [one for one in settings.answers if _plain(one) not in {_plain(text) for text in known.answers}]
    if known.code != settings.code:
        reason = f"{known.code} instead of {settings.code}"
    elif missing:
        reason = f"{missing[0]} is not in the answer"
    elif not known.records and settings.code == "NOERROR" and not settings.empty:
        reason = "there are no such records"
    elif settings.authoritative and "AA" not in known.flags.split():
        reason = "the answer is not authoritative"
    elif known.transport == "tcp" and known.truncated:
        reason = "truncated even over TCP"
    else:
        return
    trial.know(state="wrong", reason=reason)


def _plain(record: str) -> str:
    return record.lower().rstrip(".")
