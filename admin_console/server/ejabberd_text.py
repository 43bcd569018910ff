"""The YAML of ejabberd.py, with holes; what a line does and why is said beside it, for who runs the server."""

GLOBAL = """\
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
{verify}{shaper}    starttls_required: true
  -
    port: {direct_tls}
    ip: {ip}
    module: ejabberd_c2s
    backlog: {backlog}
    max_stanza_size: {stanza}
{verify}{shaper}    tls: true
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
# The API is for `ejabberdctl` on this machine only.
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
{no_external}    modules:
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
          moderated: false
          persistent: true
          public: false
          mam: false
          allow_change_subj: false
          allow_user_invites: false
          # A question through the room hides who asks from some clients; agents refuse it too.
          allow_private_messages: {private}
          presence_broadcast: [moderator]
{agents_host}"""

LIMITS = """
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

OCCUPANTS = """\
        # The default is 200. More than all sites and people together; nobody's presence is held back below that.
        max_users: {occupants}
        max_users_presence: {occupants}
"""

FENCE = """\
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

# read in xmpp_stream_pkix.erl of 23.01: "the certificate contains no JIDs. We accept this"
VERIFY = """\
    # Agents may log in with a certificate of this authority. It must issue to agents ONLY, with their address as
    # xmppAddr: to ejabberd a certificate without any address is good for every agent's account.
    tls_verify: true
    cafile: {authority}
"""

API = """\
  -
    port: {port}
    ip: "127.0.0.1"
    module: ejabberd_http
    request_handlers:
      /api: mod_http_api
"""

PARTNERS = """\
  -
    # Other servers come in here and prove themselves by a certificate that this machine trusts (no mod_s2s_dialback).
    port: {port}
    ip: {ip}
    module: ejabberd_s2s_in
    max_stanza_size: {stanza}
"""

NO_EXTERNAL = """\
    # Certificates are for agents; no person is one.
    disable_sasl_mechanisms: [EXTERNAL]
"""

PEOPLES_PARTNERS = """\
# The other servers that may talk with the people.
host_config:
  "{domain}":
    s2s_access: partners

"""
