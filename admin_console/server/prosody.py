"""The text of a Prosody configuration: three names, closed to the world, limited, tuned as measured, reasons beside.

One text for the server of a fleet (`amon server config prosody`) and for the private one (`amon server run`), which
differs in ports, paths and limits. Source: prosody 0.12's configuration reference (`/doc/configure`,
`/doc/modules/mod_muc`), and what its Lua reads.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from admin_console.server.certificate import Certificate
from admin_console.server.guard import guard
from admin_console.server.limits import Limits, limits
from admin_console.server.recipe import HIBERNATION, SERVERS, STANZA, UNAUTHENTICATED, Served
from amon.errors import Invalid

_GLOBAL = """\
{head}
{place}
-- Nagle's algorithm against delayed acknowledgements: 11 round trips a second at 10 KB with it, some 700 without.
-- The backlog is for a whole fleet that logs in again after a restart, the collector for rooms with many sites.
network_settings = {{ nagle = false; min_wait = 0; tcp_backlog = 4096 }}
gc = {{ mode = "generational" }}

-- Direct TLS on {direct_tls} for sites that are let out to the web only. {servers_why}
-- No web page has any business here.
c2s_ports = {{ {starttls} }}
c2s_direct_tls_ports = {{ {direct_tls} }}
s2s_ports = {{{servers}}}
component_ports = {{ }}
http_ports = {{ }}
https_ports = {{ }}

modules_enabled = {{
    "roster"; "saslauth"; "tls"; "disco"; "ping"; "smacks"; "version"; "posix";
    "time"; -- XEP-0202: consoles and agents compare clocks before a signed command
    "admin_adhoc"; -- XEP-0133: `amon enroll` makes accounts with it; it obeys the admins below and nobody else
    "user_account_management"; -- XEP-0077 for who has logged in: agents change their own passwords
}}
modules_disabled = {{ "s2s" }}
{partners}-- Accounts are made by the admins. (No mod_register_ibr here; this is for whoever loads it one day.)
allow_registration = false

-- Verifiers are stored, never passwords. Choose the hash before the first account: it holds for all.
storage = "internal"
authentication = "internal_hashed"
password_hash = "SHA-256"
-- Whoever stands in the middle must not be handed a password, TLS or not.
disable_sasl_mechanisms = {{ "PLAIN"; "DIGEST-MD5" }}
c2s_require_encryption = true
-- TLS 1.2 and 1.3. Compression of streams (XEP-0138) is not in Prosody any more, that of TLS is off: let it stay so.
tls_profile = "intermediate"
{certificates}

-- A session that vanished counts as present while it hibernates; the default is ten minutes.
smacks_hibernation_time = {hibernation}
{limits}
-- These make rooms and accounts, own every room, and may stop the server: nobody who need not.
admins = {{ {admins} }}
"""

_LIMITS = """\
-- What waits for a console that is slow or away: answers of all sites to some requests ({sites} sites).
smacks_max_queue_size = {queue}
-- One stanza may have 256 KiB (clients of amon send none longer), before the login {unauthenticated} bytes in a minute.
c2s_stanza_size_limit = {stanza}
c2s_unauthed_stanza_size_limit = {unauthenticated}
c2s_timeout = 60
"""

_WIDE = """\
-- Large enough that an agent, not a broken stream, answers an argument of 1 MB.
c2s_stanza_size_limit = 4 * 1024 * 1024
"""

_HOSTS = """
-- People.
VirtualHost {domain}
    modules_enabled = {{ {people_modules} }}
{people_lines}
-- Agents, one account for each site, in a domain of their own: an agent obeys nobody of this domain. Nothing is kept
-- for one that is not there (no offline store, no archive): a message to it must bounce, as books close on bounces.
VirtualHost {agents}
    modules_disabled = {{ "offline" }}
{agents_lines}
-- Rooms. Only the admins make one. Who is in the room is the fleet; strangers stay out; real addresses are shown, as
-- agents decide by them. No history: an agent that joins must not hear old commands. Presence of moderators only is
-- sent, so that joining costs N, not N squared. Private messages through a room cannot be switched off in 0.12: agents
-- treat their senders as people in the room. No log is kept here, the audit is at the sites; who wants one adds
-- modules_enabled = {{ "muc_mam" }} and muc_log_expires_after = "1y" (the default is a week).
Component {rooms} "muc"
    restrict_room_creation = "admin"
    muc_room_locking = false
    muc_tombstones = false
    max_history_messages = 0
    muc_room_default_history_length = 0
    muc_room_default_persistent = true
    muc_room_default_members_only = true
    muc_room_default_allow_member_invites = false
    muc_room_default_public = false
    muc_room_default_public_jids = true
    muc_room_default_change_subject = false
    muc_room_default_presence_broadcast = {{ visitor = false; participant = false; moderator = true }}
"""

_PARTNERS = """
-- Another server proves itself by a certificate that this machine trusts, never by a question back (no mod_dialback).
s2s_secure_auth = true
s2s_require_encryption = true
"""


_GROUPS = """\
    modules_enabled = {{ "groups" }}
    groups_file = {file}
"""


@dataclass(frozen=True, slots=True)
class Recipe:
    """A whole configuration. head, place, certificates: Lua; limits: None for none; contacts: files of mod_groups."""

    served: Served
    head: str
    place: str
    certificates: str
    limits: Limits | None
    fenced: bool
    keeps: bool  # for people who are away
    contacts: tuple[str, str] | None  # whom people see, whom agents see


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

    @property
    def served(self) -> Served:
        ports = {"starttls": int(self.c2s), "direct_tls": int(self.direct_tls)}
        return Served(self.domain, self.agents, self.rooms, self.admins, **ports)


def fleet_configuration(served: Served) -> str:
    """For Debian's package, as /etc/prosody/prosody.cfg.lua; `served` has been checked."""
    return text(
        Recipe(
            served,
            head=f"-- Prosody for amon: people {served.domain}, agents {served.agents}, rooms {served.rooms}.\n"
            "-- Written by `amon server config prosody`; after a change write it anew and restart (do not reload).\n",
            place='pidfile = "/run/prosody/prosody.pid"\nlog = { info = "/var/log/prosody/prosody.log" }\n',
            certificates='certificates = "certs" -- `prosodyctl cert import` puts them there',
            limits=limits(served.sites),
            fenced=True,
            keeps=True,
            contacts=("sites.txt", "people.txt"),
        )
    )


def configuration(setup: Setup) -> str:
    """The whole of prosody.cfg.lua of a private server: everything below one folder, no limits."""
    shown, quote = setup.certificate, lua_string
    return text(
        Recipe(
            setup.served,
            head="-- Written at each start by amon; changes made here are lost.",
            place=_private_place(setup),
            certificates=f"ssl = {{ certificate = {quote(str(shown.chain))}; key = {quote(str(shown.key))} }}\n"
            f"certificates = {quote(str(shown.key.parent))}",
            limits=None,
            fenced=False,
            keeps=False,
            contacts=(str(setup.sites), str(setup.people)) if setup.contacts else None,
        )
    )


def text(recipe: Recipe) -> str:
    """The whole of prosody.cfg.lua."""
    served, bounds = recipe.served, recipe.limits
    limited = {"sites": served.sites, "stanza": STANZA, "unauthenticated": UNAUTHENTICATED}
    settings = _GLOBAL.format(
        head=recipe.head,
        place=recipe.place,
        certificates=recipe.certificates,
        starttls=served.starttls,
        direct_tls=served.direct_tls,
        servers=f" {SERVERS} " if served.s2s else " ",
        servers_why="Other servers come in where they are listed below." if served.s2s else "No other server comes in.",
        partners=_PARTNERS if served.s2s else "",
        hibernation=HIBERNATION,
        limits=_LIMITS.format(queue=bounds.queue, **limited) if bounds else _WIDE,
        admins="; ".join(lua_string(jid) for jid in served.admins),
    )
    return "\n".join(filter(None, (settings, guard(served, bounds, recipe.fenced)))) + _hosts(recipe)


def _hosts(recipe: Recipe) -> str:
    served = recipe.served
    people, agents = recipe.contacts or ("", "")
    modules = ["pep", "carbons", "blocklist", *(["groups"] if people else []), *(["s2s"] if served.s2s else [])]
    lines = [] if recipe.keeps else ['    modules_disabled = { "offline" }\n']
    if people:
        lines.append(f"    groups_file = {lua_string(people)}\n")
    if not served.rooms.endswith(f".{served.domain}"):
        lines.append(f"    disco_items = {{ {{ {lua_string(served.rooms)} }} }}\n")
    return _HOSTS.format(
        domain=lua_string(served.domain),
        agents=lua_string(served.agents),
        rooms=lua_string(served.rooms),
        people_modules=" ".join(f'"{name}";' for name in modules),
        people_lines="".join(lines),
        agents_lines=f'    modules_enabled = {{ "groups" }}\n    groups_file = {lua_string(agents)}\n'
        if agents
        else "",
    )


def _private_place(setup: Setup) -> str:
    # Without run_as_root a Prosody started by root becomes the user `prosody`, who may not read a private folder.
    lines = ["run_as_root = true"] if setup.as_root else []
    paths = {"pidfile": setup.folder / "prosody.pid", "data_path": setup.data}
    lines += [f"{name} = {lua_string(str(path))}" for name, path in paths.items()]
    lines += ['umask = "077"', f"log = {{ info = {lua_string(str(setup.log))} }}"]
    lines += [f"{name} = {{ {lua_string(setup.host)} }}" for name in ("interfaces", "local_interfaces")]
    return "\n".join(lines) + "\n"


def group(name: str, domain: str, members: Iterable[str]) -> str:
    """A group in the format of mod_groups, public: everybody of the domain that has it sees its members."""
    return f"[+{name}]\n" + "".join(f"{member}@{domain}={member}\n" for member in members)


def lua_string(text: str) -> str:
    """Text as a Lua string that is that text and nothing else (Lua 5.4 manual, 3.1)."""
    if not text.isprintable():
        raise Invalid(f"{text!r} cannot stand in a server configuration: it has control characters")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
