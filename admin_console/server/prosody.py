"""The text of a Prosody configuration: three names, closed to the world, limited, tuned as measured, reasons beside.

One text for the server of a fleet (`amon server config prosody`) and for the private one (`amon server run`), which
differs in ports, paths and limits. Source: prosody 0.12's configuration reference (`/doc/configure`,
`/doc/modules/mod_muc`), and what its Lua reads.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from admin_console.server import prosody_text as words
from admin_console.server.certificate import Certificate
from admin_console.server.guard import guard
from admin_console.server.limits import Limits, limits
from admin_console.server.recipe import HIBERNATION, SERVERS, STANZA, UNAUTHENTICATED, Served
from amon.errors import Invalid


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
        names = (self.domain, self.agents, self.rooms, self.admins)
        return Served(*names, starttls=int(self.c2s), direct_tls=int(self.direct_tls))


def fleet_configuration(served: Served) -> str:
    """For Debian's package, as /etc/prosody/prosody.cfg.lua; `served` has been checked."""
    return text(
        Recipe(
            served,
            head=f"-- Prosody for amon: people {served.domain}, agents {served.agents}, rooms {served.rooms}.\n"
            "-- Written by `amon server config prosody`; after a change write it anew and restart (do not reload).\n",
            place=words.DEBIAN_PLACE,
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
    settings = words.GLOBAL.format(
        head=recipe.head,
        place=recipe.place,
        certificates=recipe.certificates + _direct_trust(served),
        starttls=served.starttls,
        direct_tls=served.direct_tls,
        servers=f" {SERVERS} " if served.s2s else " ",
        servers_why="Other servers come in where they are listed below." if served.s2s else "No other server comes in.",
        partners=words.PARTNERS if served.s2s else "",
        hibernation=HIBERNATION,
        limits=words.LIMITS.format(queue=bounds.queue, **limited) if bounds else words.WIDE,
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
    return words.HOSTS.format(
        domain=lua_string(served.domain),
        agents=lua_string(served.agents),
        rooms=lua_string(served.rooms),
        external=words.EXTERNAL.format(trust=_trust(served, " " * 8)) if served.host_certificates else "",
        people_modules=" ".join(f'"{name}";' for name in modules),
        people_lines="".join(lines),
        agents_lines=f'    modules_enabled = {{ "groups" }}\n    groups_file = {lua_string(agents)}\n'
        if agents
        else "",
    )


def _trust(served: Served, indent: str) -> str:
    return words.TRUST.format(authority=lua_string(served.host_certificates), indent=indent)


def _direct_trust(served: Served) -> str:
    """The port of direct TLS has one setting for all domains: it asks for a certificate and goes on without one."""
    if not served.host_certificates:
        return ""
    return "\n-- Agents show a certificate here; see their host below.\nc2s_direct_tls_ssl = { " + _trust(
        served, "    "
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
