"""The text of the private Prosody's configuration: three names, closed to the world, tuned as measured.

Source: prosody 0.12's configuration reference (`/doc/configure`, `/doc/modules/mod_muc`), and what its Lua reads.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from admin_console.server.certificate import Certificate
from amon.errors import Invalid

_GLOBAL = """\
-- Written at each start by amon; changes made here are lost.
{root}pidfile = {pidfile}
data_path = {data}
umask = "077"
log = {{ info = {log} }}

-- Nagle's algorithm against delayed acknowledgements: 11 round trips a second at 10 KB with it, some 700 without.
network_settings = {{ nagle = false; min_wait = 0; tcp_backlog = 4096 }}
gc = {{ mode = "generational" }}

interfaces = {{ {host} }}
local_interfaces = {{ {host} }}
c2s_ports = {{ {c2s} }}
c2s_direct_tls_ports = {{ {direct_tls} }}
s2s_ports = {{ }}
component_ports = {{ }}
http_ports = {{ }}
https_ports = {{ }}

modules_enabled = {{
    "roster"; "saslauth"; "tls"; "disco"; "ping"; "pep"; "smacks"; "carbons"; "blocklist"; "time"; "version"; "posix";
}}
-- A message for a site that is not there must bounce, not wait: the asker's books close on the bounce.
modules_disabled = {{ "s2s"; "offline" }}
allow_registration = false

storage = "internal"
authentication = "internal_hashed"
password_hash = "SHA-256"
-- Whoever stands in the middle must not be handed a password, TLS or not.
disable_sasl_mechanisms = {{ "PLAIN"; "DIGEST-MD5" }}
c2s_require_encryption = true
ssl = {{ certificate = {chain}; key = {key} }}
certificates = {certificates}

-- A session that vanished counts as present while it hibernates.
smacks_hibernation_time = 60
-- Large enough that an agent, not a broken stream, answers an argument of 1 MB.
c2s_stanza_size_limit = 4 * 1024 * 1024

admins = {{ {admins} }}

VirtualHost {domain}
{sites}
VirtualHost {agents}
{people}
Component {rooms} "muc"
    restrict_room_creation = "admin"
    muc_room_locking = false
    muc_tombstones = false
    max_history_messages = 0
    muc_room_default_history_length = 0
    muc_room_default_persistent = true
    muc_room_default_members_only = true
    muc_room_default_public = false
    muc_room_default_public_jids = true
    muc_room_default_change_subject = false
    -- Joining costs N, not N squared: presence of moderators only.
    muc_room_default_presence_broadcast = {{ visitor = false; participant = false; moderator = true }}
"""


@dataclass(frozen=True, slots=True)
class Setup:
    """All that differs between one private server and another."""

    folder: Path
    domain: str
    agents: str
    rooms: str
    admins: tuple[str, ...]
    host: str
    c2s: int
    direct_tls: int
    certificate: Certificate
    as_root: bool
    contacts: bool

    @property
    def sites(self) -> Path:
        """Whom every person sees: mod_groups' file for the people's domain."""
        return self.folder / "sites.txt"

    @property
    def people(self) -> Path:
        """To whom every agent shows itself."""
        return self.folder / "people.txt"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> Path:
        return self.folder / "prosody.log"


def configuration(setup: Setup) -> str:
    """The whole of prosody.cfg.lua."""
    paths = {
        "pidfile": setup.folder / "prosody.pid",
        "data": setup.data,
        "log": setup.log,
        "chain": setup.certificate.chain,
        "key": setup.certificate.key,
        "certificates": setup.certificate.key.parent,
    }
    words = {"host": setup.host, "domain": setup.domain, "agents": setup.agents, "rooms": setup.rooms}
    return _GLOBAL.format(
        # Without this line a Prosody started by root becomes the user `prosody`, who may not read a private folder.
        root="run_as_root = true\n" if setup.as_root else "",
        c2s=int(setup.c2s),
        direct_tls=int(setup.direct_tls),
        sites=_contacts(setup.sites) if setup.contacts else "",
        people=_contacts(setup.people) if setup.contacts else "",
        admins="; ".join(lua_string(jid) for jid in setup.admins),
        **{name: lua_string(str(value)) for name, value in (paths | words).items()},
    )


def group(name: str, domain: str, members: Iterable[str]) -> str:
    """A group in the format of mod_groups, public: everybody of the domain that has it sees its members."""
    return f"[+{name}]\n" + "".join(f"{member}@{domain}={member}\n" for member in members)


def _contacts(file: Path) -> str:
    return f'    modules_enabled = {{ "groups" }}\n    groups_file = {lua_string(str(file))}\n'


def lua_string(text: str) -> str:
    """Text as a Lua string that is that text and nothing else (Lua 5.4 manual, 3.1)."""
    if not text.isprintable():
        raise Invalid(f"{text!r} cannot stand in a server configuration: it has control characters")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
