"""The text of an ejabberd configuration: what prosody.py says, in ejabberd's words, reasons beside.

One text for the server of a fleet (`amon server config ejabberd`) and for the ejabberd of the tests, which differs in
ports, paths and limits and has an HTTP door for accounts. Source: ejabberd.yml(5) of 23.01, its ejabberd.yml.example.
"""

import json
from dataclasses import dataclass

from admin_console.server import ejabberd_text as words
from admin_console.server.limits import Limits, limits
from admin_console.server.recipe import HIBERNATION, SERVERS, SESSIONS, STANZA, Served


@dataclass(frozen=True, slots=True)
class Recipe:
    """A whole configuration. limits: None for none; api: a port where accounts are made over HTTP, or none."""

    served: Served
    head: str
    ip: str
    chain: str
    key: str
    limits: Limits | None
    fenced: bool
    keeps: bool  # for people who are away
    contacts: bool
    api: int | None = None


def fleet_configuration(served: Served) -> str:
    """For Debian's package, as /etc/ejabberd/ejabberd.yml; `served` has been checked."""
    return text(
        Recipe(
            served,
            head=f"# ejabberd for amon: people {served.domain}, agents {served.agents}, rooms {served.rooms}.\n"
            "# Written by `amon server config ejabberd`; write it anew and restart after a change.\n",
            ip="::",
            chain="/etc/ejabberd/certs/fullchain.pem",
            key="/etc/ejabberd/certs/privkey.pem",
            limits=limits(served.sites),
            fenced=True,
            keeps=True,
            contacts=True,
        )
    )


def text(recipe: Recipe) -> str:
    """The whole of ejabberd.yml."""
    served, bounds = recipe.served, recipe.limits
    return words.GLOBAL.format(
        head=recipe.head,
        domain=served.domain,
        agents=served.agents,
        rooms=served.rooms,
        chain=quoted(recipe.chain),
        key=quoted(recipe.key),
        ip=quoted(recipe.ip),
        starttls=served.starttls,
        direct_tls=served.direct_tls,
        # Without limits an agent, not a broken stream, answers an argument of 1 MB.
        stanza=STANZA if bounds else 16 * STANZA,
        backlog=bounds.backlog if bounds else 2048,
        hibernation=HIBERNATION,
        admins=", ".join(quoted(jid) for jid in served.admins),
        contacts="  mod_shared_roster: {}\n" if recipe.contacts else "",
        keeps="      mod_offline: {}\n" if recipe.keeps else "",
        verify=words.VERIFY.format(authority=quoted(served.host_certificates)) if served.host_certificates else "",
        no_external=words.NO_EXTERNAL if served.host_certificates else "",
        **_limited(bounds),
        **_doors(recipe),
        **_between(recipe),
    )


def _limited(bounds: Limits | None) -> dict[str, str]:
    if bounds is None:
        return dict.fromkeys(("shaper", "limits", "queue", "occupants"), "") | {"private": "true"}
    numbers = {"rate": bounds.rate, "burst": bounds.burst, "queue": bounds.queue, "sessions": SESSIONS}
    return {
        "shaper": "    shaper: c2s_shaper\n",
        "limits": words.LIMITS.format(why="\n# ".join(bounds.why), **numbers),
        "queue": f"    max_ack_queue: {bounds.queue}\n",
        "occupants": words.OCCUPANTS.format(occupants=bounds.occupants),
        "private": "false",
    }


def _doors(recipe: Recipe) -> dict[str, str]:
    listeners, modules = "", ""
    api = '  "console commands":\n    from: ejabberd_ctl\n    who: all\n    what: "*"\n'
    if recipe.served.s2s:
        listeners += words.PARTNERS.format(port=SERVERS, ip=quoted(recipe.ip), stanza=STANZA)
    if recipe.api is not None:
        listeners += words.API.format(port=recipe.api)
        modules = "  mod_http_api: {}\n"
        api = '  accounts:\n    from: mod_http_api\n    who:\n      ip: "127.0.0.1/8"\n    what: "*"\n'
    return {"doors": listeners, "door_modules": modules, "api": api}


def _between(recipe: Recipe) -> dict[str, str]:
    """Who may talk with whom: agents, and other servers."""
    served = recipe.served
    acls, rules, partners = "", "", ""
    servers = "# No other server may talk with this one, in either direction.\ns2s_access: none\n"
    if recipe.fenced:
        acls += f'  askers:\n    server: ["{served.domain}", "{served.rooms}"]\n'
        rules += "  askers:\n    allow: askers\n"
    if served.s2s:
        acls += f"  partners:\n    server: [{', '.join(quoted(name) for name in served.s2s)}]\n"
        rules += "  partners:\n    allow: partners\n"
        servers = "# Other servers: with the people only, those named above only, with TLS and a certificate.\n"
        servers += "s2s_access: none\ns2s_use_starttls: required\n"
        partners = words.PEOPLES_PARTNERS.format(domain=served.domain)
    fence = words.FENCE.format(agents=served.agents) if recipe.fenced else ""
    return {"acls": acls, "rules": rules, "servers": servers, "partners": partners, "agents_host": fence}


def quoted(text: str) -> str:
    """Text as a YAML string that is that text and nothing else: JSON is YAML (YAML 1.2, 1.3)."""
    return json.dumps(text, ensure_ascii=False)
