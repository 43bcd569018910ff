"""What is asked on demand of services: name servers, web pages, TCP and UDP ports, time servers."""

from pathlib import Path
from typing import Annotated, Literal

from amon.command import Call, command
from amon.errors import Failed, Refused
from amon.fields import Field

from . import dns, http, ntp, tcp, udp
from .answers import Story
from .demand import Explain, OnDemand, Timeout, Version, Word, Words
from .shape import Measurement
from .targets import packed, unpacked

Port = Annotated[int, Field("which port there", least=1, most=65_535, short="p")]
Count = Annotated[int, Field("questions to each", least=1, most=16, short="c")]
Datagrams = Annotated[int, Field("datagrams to each", least=1, most=1000, short="c")]
Apart = Annotated[float, Field("between two of them", unit="s", least=0.01, most=60, short="i")]
Bytes = Annotated[int, Field("in each datagram", unit="B", least=20, most=65_000, short="s")]
Tls = Annotated[bool, Field("speak TLS from the beginning", short="S")]
Banner = Annotated[bool, Field("wait for what it says first", short="b")]
Verify = Annotated[bool, Field("whether its certificate must be good")]
Url = Annotated[
    str, Field("a URL, a host or @site", pattern=r"[@\[:A-Za-z0-9_][^\s\x00-\x1f]*", longest=2048, sites=True)
]
Text = Annotated[str, Field("text that must be in what it says", pattern=r"[ -~]*", longest=512, short="e")]
Transport = Annotated[Literal["udp", "tcp"], Field("by what")]
Dnssec = Annotated[bool, Field("ask for signatures, too")]
Type = Annotated[dns.Type, Field("which records", short="t")]
Server = Annotated[Word | None, Field("which server, else that of this host")]

Answer = list[Measurement] | Story | Measurement


class Services(OnDemand):
    """resolv: where this host's name servers stand."""

    resolv = Path("/etc/resolv.conf")

    @command(role="operator", timeout=120)
    async def dns(
        self,
        call: Call,
        name: dns.Name,
        type: Type = "A",  # noqa: A002
        server: Server = None,
        transport: Transport = "udp",
        dnssec: Dnssec = False,
        timeout: Timeout = 3,
        explain: Explain = False,
    ) -> Answer:
        """One question to a name server: code, records, and how fast.

        probe dns www.example.org; probe dns example.org MX 192.0.2.53
        """
        settings = dns.Settings(name=name, type=type, transport=transport, dnssec=dnssec, timeout=timeout, empty=True)
        if server is not None:
            return await self._each(call, (server,), "any", dns.measure, settings, explain, 1, timeout)
        own = _name_server(self.resolv)  # what the site's own configuration names needs no fence
        with self.caps.hold(1, timeout):
            made = await dns.measure(own, settings, self.world())
        return Story(tuple(made.explain())) if explain else made

    @command(role="operator", timeout=120)
    async def http(
        self,
        call: Call,
        url: Url,
        expect: Text = "",
        verify: Verify = True,
        timeout: Timeout = 10,
        family: Version = "any",
        explain: Explain = False,
    ) -> Answer:
        """A web page, phase by phase: name, connect, TLS, first byte, body; and the days of its certificate."""
        settings = http.Settings(expect=expect, verify=verify, timeout=timeout, family=family)
        if not url.startswith("@"):
            return await self._one(call, url, url, http.measure, settings, explain, timeout)
        ((name, host),) = self.meant(call, (url,), family)
        page = f"http://[{host}]/" if ":" in host else f"http://{host}/"
        return await self._one(call, name, page, http.measure, settings, explain, timeout)

    @command(role="operator", timeout=120)
    async def tcp(
        self,
        call: Call,
        targets: Words,
        port: Port = 443,
        tls: Tls = False,
        banner: Banner = False,
        expect: Text = "",
        verify: Verify = True,
        timeout: Timeout = 5,
        family: Version = "any",
        explain: Explain = False,
    ) -> Answer:
        """How fast a port connects, and with --banner what it says first. Nothing is sent on demand but TLS."""
        settings = tcp.Settings(
            port=port, tls=tls, banner=banner, expect=expect, verify=verify, timeout=timeout, family=family
        )
        return await self._each(call, targets, family, tcp.measure, settings, explain, 1, timeout)

    @command(role="operator", timeout=3700)
    async def udp(
        self,
        call: Call,
        targets: Words,
        port: Port = 7,
        count: Datagrams = 5,
        interval: Apart = 0.2,
        size: Bytes = 64,
        timeout: Timeout = 2,
        family: Version = "any",
        explain: Explain = False,
    ) -> Answer:
        """UDP echo (RFC 862): loss, disorder and damage. Another site answers where its `echo` is set."""
        settings = udp.Settings(
            port=port, count=count, interval=interval, size=size, timeout=timeout, family=family, loss_most=100
        )
        lasts = count * interval + timeout
        return await self._each(call, targets, family, udp.measure, settings, explain, 1 / interval, lasts)

    @command(role="operator", timeout=1200)
    async def ntp(
        self,
        call: Call,
        targets: Words,
        count: Count = 1,
        timeout: Timeout = 2,
        family: Version = "any",
        explain: Explain = False,
    ) -> Answer:
        """Ask time servers: offset to this host's clock, delay, stratum. Nothing is set."""
        settings = ntp.Settings(count=count, timeout=timeout, family=family)
        lasts = count * (settings.interval + timeout)
        return await self._each(call, targets, family, ntp.measure, settings, explain, 1, lasts)


def _name_server(path: Path) -> str:
    """The first of resolv.conf(5)."""
    try:
        lines = path.read_text("utf-8", "replace").splitlines()[:1000]
    except OSError as fault:
        raise Failed(f"{path} cannot be read: {fault.strerror}") from None
    for line in lines:
        words = line.split()
        if len(words) > 1 and words[0] == "nameserver" and unpacked(packed(words[1].partition("%")[0])):
            return words[1]
    raise Refused(f"{path} names no server; say which: server=192.0.2.53")
