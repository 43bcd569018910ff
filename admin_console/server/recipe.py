"""What an amon server serves, whichever program it is: three names, its admins, how many sites; all of it checked.

Sources: RFC 1035, 2.3.1 (names); RFC 6122, 2 (addresses); the sizes in amon/xmpp/login.py and amon/runtime/caps.py.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from amon.errors import Invalid

# RFC 1035, 2.3.1, in lower case as XMPP addresses are; a name with other letters is written as xn--...
_DOMAIN = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)+")
_NAME = re.compile(r"[a-z0-9][a-z0-9._+-]{0,63}")

STANZA = 256 * 1024  # bytes of one stanza; clients of amon send nothing longer
UNAUTHENTICATED = 10_000  # bytes of one stanza before the login: SCRAM needs some hundred
HIBERNATION = 60  # seconds a site whose connection broke counts as present
SESSIONS = 10  # connections of one account: a person's phones and consoles; an agent has one
STARTTLS, DIRECT_TLS, SERVERS = 5222, 443, 5269  # TCP ports


@dataclass(frozen=True, slots=True)
class Served:
    """What a server is for.

    s2s: domains of other servers that may talk with the people; sites: how many will come; host_certificates: the file,
    on the server, of the authority whose certificates are a login for agents, or none.
    """

    domain: str
    agents: str
    rooms: str
    admins: tuple[str, ...]
    s2s: tuple[str, ...] = ()
    sites: int = 100
    host_certificates: str = ""
    starttls: int = STARTTLS
    direct_tls: int = DIRECT_TLS

    @property
    def names(self) -> tuple[str, str, str]:
        return self.domain, self.agents, self.rooms


def is_domain(name: str) -> bool:
    """A host name of two labels or more, in lower case."""
    return _DOMAIN.fullmatch(name) is not None


def checked(served: Served) -> Served:
    """The same; `Invalid` with all that is wrong with it, a line each."""
    wrong = list(_mistakes(served))
    if wrong:
        raise Invalid("\n".join(wrong))
    return served


def _mistakes(served: Served) -> Iterator[str]:
    for name in (*served.names, *served.s2s):
        if not is_domain(name):
            yield f"'{name[:64]}' is no domain name in lower case, such as agents.example.org"
    if len(set(served.names)) < len(served.names):
        yield f"people, agents and rooms need three different domains; these are {', '.join(served.names)}"
    if not served.admins:
        yield f"nobody could make a room or an account; next: --admin NAME@{served.domain}"
    for jid in served.admins:
        name, _, domain = jid.partition("@")
        if domain != served.domain or not _NAME.fullmatch(name):
            yield f"'{jid[:64]}' cannot be an admin: that is an account of the people's domain, NAME@{served.domain}"
    for name in sorted(set(served.s2s) & set(served.names)):
        yield f"'{name}' is this server itself; --s2s names the domains of others"
    authority = served.host_certificates
    if authority and not (authority.startswith("/") and authority.isprintable()):
        yield f"{authority!r} is no path from / of a file on the server, such as /etc/ssl/sites-ca.pem"
    if served.starttls == served.direct_tls:
        yield f"port {served.direct_tls} cannot serve both STARTTLS and direct TLS"
    if SERVERS in (served.starttls, served.direct_tls) and served.s2s:
        yield f"port {SERVERS} is where other servers come in; clients need another"
