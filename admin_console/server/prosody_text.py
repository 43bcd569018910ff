"""The Lua of prosody.py, with holes; what a line does and why is said beside it, for who runs the server."""

GLOBAL = """\
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

LIMITS = """\
-- What waits for a console that is slow or away: answers of all sites to some requests ({sites} sites).
smacks_max_queue_size = {queue}
-- One stanza may have 256 KiB (clients of amon send none longer), before the login {unauthenticated} bytes in a minute.
c2s_stanza_size_limit = {stanza}
c2s_unauthed_stanza_size_limit = {unauthenticated}
c2s_timeout = 60
"""

WIDE = """\
-- Large enough that an agent, not a broken stream, answers an argument of 1 MB.
c2s_stanza_size_limit = 4 * 1024 * 1024
"""

HOSTS = """
-- People.
VirtualHost {domain}
    modules_enabled = {{ {people_modules} }}
{people_lines}
-- Agents, one account for each site, in a domain of their own: an agent obeys nobody of this domain. Nothing is kept
-- for one that is not there (no offline store, no archive): a message to it must bounce, as books close on bounces.
VirtualHost {agents}
    modules_disabled = {{ "offline" }}
{external}{agents_lines}
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

# The defaults would add all authorities of the system to this one, and take a server's certificate for a client's.
TRUST = """cafile = {authority}; capath = false; verify = {{ "peer", "client_once" }};
{indent}verifyext = {{ lsec_ignore_purpose = false }} }}
"""

EXTERNAL = """\
    -- Agents log in with a certificate that carries their address as xmppAddr, and with nothing else. mod_auth_ccert is
    -- in the package prosody-modules; without it no agent gets in.
    authentication = "ccert"
    c2s_ssl = {{ {trust}"""

PARTNERS = """
-- Another server proves itself by a certificate that this machine trusts, never by a question back (no mod_dialback).
s2s_secure_auth = true
s2s_require_encryption = true
"""

GROUPS = """\
    modules_enabled = {{ "groups" }}
    groups_file = {file}
"""

DIRECT_TRUST = """
-- Agents show a certificate here; see their host below.
c2s_direct_tls_ssl = {{ {trust}"""

DEBIAN_PLACE = """\
-- Where Debian has things.
pidfile = "/run/prosody/prosody.pid"
log = { info = "/var/log/prosody/prosody.log" }
"""
