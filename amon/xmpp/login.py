"""How an account logs in: who, where, through what. Read from the configuration; imports no slixmpp."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True)
class Login:
    """One XMPP account. Without `host` the addresses come from SRV records of the domain (RFC 6120, 3.2.1).

    tls: "starttls" (port 5222) or "direct" (XEP-0368, port 5223 or 443).
    proxy: `http://user:password@host:port` (HTTP CONNECT), `socks5://host:port`. TLS stays end to end.
    rooms: bare addresses of the rooms to be in; nick: the name there, the account's name if empty.
    spare: other passwords, tried in turn when one is refused.
    certificate: our own, which says who we are instead of a password (SASL EXTERNAL); the TLS context shows it, see
    `tls`. With it, `password` may be empty; one that is not is tried where the server takes no certificate.
    pins: keys of the server, `sha256/BASE64` of its SubjectPublicKeyInfo (RFC 7469, 2.4); none: any that its CA vouches
    for.
    """

    jid: str
    password: str = field(repr=False)
    resource: str = "amon"
    host: str | None = None
    port: int | None = None
    tls: Literal["starttls", "direct"] = "starttls"
    proxy: str | None = field(default=None, repr=False)
    rooms: tuple[str, ...] = ()
    nick: str = ""
    spare: tuple[str, ...] = field(default=(), repr=False)
    certificate: Path | None = None
    certificate_key: Path | None = None
    pins: tuple[str, ...] = ()

    @property
    def domain(self) -> str:
        return self.jid.partition("/")[0].rpartition("@")[2]

    @property
    def default_port(self) -> int:
        return 5223 if self.tls == "direct" else 5222


@dataclass(frozen=True, slots=True)
class Times:
    """Waits of a connection, in seconds."""

    retry_first: float = 5  # after a lost connection; doubles, with jitter
    retry_most: float = 300
    retry_refused: float = 300  # wrong password, another session took the name: a person has to mend it
    stable: float = 60  # a session this old starts the back-off anew
    connect: float = 30
    login: float = 30
    ask: float = 30  # for the answer to an IQ
    ping_every: float = 60  # of silence, XEP-0199; inside the usual NAT timeouts
    ping_wait: float = 20
    room_check: float = 300  # XEP-0410
    room_wait: float = 30
    goodbye: float = 2


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes that protect the parser, the server and our memory."""

    stanza: int = 512 * 1024  # bytes of one incoming stanza
    depth: int = 64  # nesting of one incoming stanza
    elements: int = (
        20_000  # in one incoming stanza: 26 bytes each, less than anything honest; `<a/>` is 40 times larger
    )
    sent: int = 256 * 1024  # bytes of one outgoing stanza: Prosody's c2s_stanza_size_limit; ejabberd is told the same
    unacked: int = 20_000  # stanzas the server has not acknowledged (XEP-0198)
