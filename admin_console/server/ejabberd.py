"""The text of an ejabberd configuration: what prosody.py says, in ejabberd's words, reasons beside.

One text for the server of a fleet (`amon server config ejabberd`) and for the ejabberd of the tests, which differs in
ports, paths and limits and has an HTTP door for accounts. Source: ejabberd.yml(5) of 23.01, its ejabberd.yml.example.
"""

import json
from dataclasses import dataclass

from admin_console.server.limits import Limits, limits
from admin_console.server.recipe import HIBERNATION, SERVERS, SESSIONS, STANZA, Served

_GLOBAL = """\
{head}
# Not info: that would log the passwords of accounts made through an API.
loglevel: notice
hosts:
  - "{domain}"
  - "{agents}"
certfiles:
  - {chain}
  - {key}
acme:
  auto: false

# TLS 1.2 and 1.3. Compression of streams (XEP-0138) is off unless a listener says `zlib: true`: let it stay so.
c2s_protocol_options: [no_sslv3, no_tlsv1, no_tlsv1_1, no_compression, cipher_server_preference]
s2s_protocol_options: [no_sslv3, no_tlsv1, no_tlsv1_1, no_compression, cipher_server_preference]

# Direct TLS on {direct_tls} for sites that are let out to the web only. No web page has any business here.
listen:
  -
    port: {starttls}
    ip: {ip}
    module: ejabberd_c2s
    # The default of 5 loses connections when a fleet logs in.
    backlog: {backlog}
    max_stanza_size: {stanza}
{shaper}    starttls_required: true
  -
    port: {direct_tls}
    ip: {ip}
    module: ejabberd_c2s
    backlog: {backlog}
    max_stanza_size: {stanza}
{shaper}    tls: true
{doors}
# Verifiers are stored, never passwords; none is sent, TLS or not. Choose the hash before the first account.
auth_password_format: scram
auth_scram_hash: sha256
disable_sasl_mechanisms: [PLAIN, DIGEST-MD5, X-OAUTH2]
{limits}
# These make rooms and accounts, own every room, and may stop the server: nobody who need not.
acl:
  admin:
    user: [{admins}]
  insiders:
    server: ["{domain}", "{agents}"]
{acls}access_rules:
  admins:
    allow: admin
  configure:
    allow: admin
  insiders:
    allow: insiders
{rules}{servers}
api_permissions:
{api}
modules:
  mod_adhoc: {{}}
  mod_admin_extra: {{}}
  mod_blocking: {{}}
  mod_caps: {{}}
  # XEP-0133: `amon enroll` makes accounts with it; it obeys whom `configure` above names and nobody else.
  mod_configure: {{}}
  mod_disco: {{}}
{door_modules}  mod_last: {{}}
  mod_ping: {{}}
  mod_privacy: {{}}
  # XEP-0077: agents change their own passwords; nobody registers and nobody deletes himself.
  mod_register:
    access: none
    access_remove: none
  mod_roster: {{}}
{contacts}  mod_stream_mgmt:
    # A session that vanished counts as present for this long; the default is five minutes.
    resume_timeout: {hibernation} sec
{queue}  # XEP-0202: consoles and agents compare clocks before a signed command.
  mod_time: {{}}
  mod_version: {{}}

{partners}append_host_config:
  # People.
  "{domain}":
    modules:
      mod_carboncopy: {{}}
{keeps}      # Only the admins make rooms. Who is in the room is the fleet; strangers stay out; addresses are shown, as
      # agents decide by them. No history: an agent that joins must not hear old commands. Presence of moderators
      # only is sent, so that joining costs N, not N squared. No log is kept, the audit is at the sites: the warning at
      # a start that recommends mod_mam is about that. Who wants one adds mod_mam with an SQL database, says `mam: true`
      # below, and deletes what is old with `ejabberdctl delete_old_mam_messages groupchat DAYS`.
      mod_muc:
        hosts: ["{rooms}"]
        access: insiders
        access_create: admins
        access_admin: admins
        history_size: 0
{occupants}        default_room_options:
          anonymous: false
          members_only: true
          persistent: true
          public: false
          mam: false
          allow_change_subj: false
          allow_user_invites: false
          # A question through the room hides who asks from some clients; agents refuse it too.
          allow_private_messages: {private}
          presence_broadcast: [moderator]
{agents_host}"""

_LIMITS = """
# {why}
shaper:
  fleet:
    rate: {rate}
    burst_size: {burst}
shaper_rules:
  c2s_shaper: fleet
  max_user_sessions: {sessions}
# A stranger may take this long for his login.
negotiation_timeout: 60 sec
# Stanzas that wait for one connection; beyond that it is cut off: answers of all sites to some requests.
max_fsm_queue: {queue}
"""

_OCCUPANTS = """\
        # The default is 200. More than all sites and people together; nobody's presence is held back below that.
        max_users: {occupants}
        max_users_presence: {occupants}
"""

_FENCE = """\
  # Agents. Nothing is kept for one that is not there (no mod_offline, no mod_mam): a message to it must bounce, so that
  # the asker's books close. What comes from anybody but people and rooms is dropped: a stolen agent finds nobody to
  # command. (Agents refuse each other besides.) Where a site's policy lets another site ask, take this block out.
  "{agents}":
    modules:
      mod_block_strangers:
        access: askers
        allow_local_users: false
        allow_transports: false
"""

_API = """\
  -
    port: {port}
    ip: "127.0.0.1"
    module: ejabberd_http
    request_handlers:
      /api: mod_http_api
"""

_PARTNERS = """\
  -
    # Other servers come in here and prove themselves by a certificate that this machine trusts (no mod_s2s_dialback).
    port: {port}
    ip: {ip}
    module: ejabberd_s2s_in
    max_stanza_size: {stanza}
"""


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
    return _GLOBAL.format(
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
        "limits": _LIMITS.format(why="\n# ".join(bounds.why), **numbers),
        "queue": f"    max_ack_queue: {bounds.queue}\n",
        "occupants": _OCCUPANTS.format(occupants=bounds.occupants),
        "private": "false",
    }


def _doors(recipe: Recipe) -> dict[str, str]:
    listeners, modules = "", ""
    api = '  "console commands":\n    from: ejabberd_ctl\n    who: all\n    what: "*"\n'
    if recipe.served.s2s:
        listeners += _PARTNERS.format(port=SERVERS, ip=quoted(recipe.ip), stanza=STANZA)
    if recipe.api is not None:
        listeners += _API.format(port=recipe.api)
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
        partners = f'host_config:\n  "{served.domain}":\n    s2s_access: partners\n\n'
    fence = _FENCE.format(agents=served.agents) if recipe.fenced else ""
    return {"acls": acls, "rules": rules, "servers": servers, "partners": partners, "agents_host": fence}


def quoted(text: str) -> str:
    """Text as a YAML string that is that text and nothing else: JSON is YAML (YAML 1.2, 1.3)."""
    return json.dumps(text, ensure_ascii=False)
