"""What no option of Prosody 0.12 can say, as handlers in its configuration: a file of its own could be forgotten.

Prosody's configuration is a Lua program with the server's own library in reach. Sources, read in 0.12.3:
core/configmanager.lua, core/hostmanager.lua (`host-activated`), core/sessionmanager.lua (`pre-resource-bind`),
core/stanza_router.lua (`pre-message/full` and its sisters), modules/mod_s2s.lua (`route/remote`,
`s2s-stream-features`), net/server_epoll.lua (`pausefor`), util/filters.lua.
"""

from admin_console.server.limits import Limits
from admin_console.server.recipe import SESSIONS, Served

_HEAD = """\
-- Handlers of our own for what no option says. They stand here so that none can be forgotten: a mistake in them stops
-- the start, it opens nothing. They are taken in at a start, not at a reload.
local stanzas, jids, filters = require "util.stanza", require "util.jid", require "util.filters"
local clock = require "util.time".monotonic
local function at_host(name, install)
    prosody.events.add_handler("host-activated", function (host)
        if host == name then install(prosody.hosts[host]) end
    end)
end
local function refuse(session, stanza, reason)
    -- An error is never answered, RFC 6120, 8.3.1; presence goes nowhere and needs no answer.
    if stanza.name ~= "presence" and stanza.attr.type ~= "error" and stanza.attr.type ~= "result" then
        session.send(stanzas.error_reply(stanza, "cancel", "not-allowed", reason))
    end
    return true
end
"""

_SENDING = """
-- How much one connection may send. Prosody's own mod_limits knows no burst: set low enough to stop a flood, it made
-- a busy console three times slower.
{why}
local burst, rate = {burst}, {rate}
filters.add_filter_hook(function (session)
    if session.type ~= "c2s_unauthed" then return end
    local left, at = burst, clock()
    filters.add_filter(session, "bytes/in", function (bytes)
        local now = clock()
        left, at = math.min(burst, left + rate * (now - at)) - #bytes, now
        if left < 0 and session.conn then session.conn:pausefor(-left / rate) end
        return bytes
    end, 1000)
end)
"""

_SESSIONS = """
-- At most {sessions} connections of one account: each costs memory and gets a copy of what is said to all of them.
local function few_sessions(host)
    host.events.add_handler("pre-resource-bind", function (event)
        local account, count = host.sessions[event.session.username], 0
        for resource in pairs(account and account.sessions or {{}}) do
            if resource ~= event.resource then count = count + 1 end
        end
        if count >= {sessions} then
            local reason = "this account has {sessions} connections already"
            event.error = {{ type = "cancel", condition = "resource-constraint", text = reason }}
            return false
        end
    end)
end
at_host({domain}, few_sessions)
at_host({agents}, few_sessions)
"""

_FENCE = """
-- Agents speak with people, with rooms and with their server; not with each other: a stolen agent finds nobody to
-- command. (Agents refuse each other besides.) Where a site's policy lets another site ask, take this block out.
at_host({agents}, function (host)
    local function fence(event)
        local to, from = event.stanza.attr.to, event.stanza.attr.from
        if not to or jids.bare(to) == jids.bare(from) then return end
        local name, domain = jids.split(to)
        if name and domain == {agents} then
            return refuse(event.origin, event.stanza, "agents do not speak with each other here")
        end
    end
    for _, kind in ipairs {{ "message", "presence", "iq" }} do
        host.events.add_handler("pre-" .. kind .. "/bare", fence, 1000)
        host.events.add_handler("pre-" .. kind .. "/full", fence, 1000)
    end
end)
"""

_SERVERS = """
-- The only servers that may talk with {domain}, in both directions.
local partners = {{ {partners} }}
at_host({domain}, function (host)
    host.events.add_handler("route/remote", function (event)
        if partners[event.to_host] then return end
        local origin = prosody.hosts[event.from_host]
        if origin and event.stanza.attr.type ~= "error" and event.stanza.attr.type ~= "result" then
            prosody.core_post_stanza(origin, stanzas.error_reply(event.stanza, "cancel", "not-allowed"), true)
        end
        return true
    end, 1000)
    host.events.add_handler("s2s-stream-features", function (event)
        if not partners[event.origin.from_host] then
            event.origin:close {{ condition = "policy-violation", text = "no server that may talk with this one" }}
            return true
        end
    end, 1000)
end)
"""


def guard(served: Served, limits: Limits | None, fenced: bool) -> str:
    """The Lua of it; nothing where nothing is to be guarded. All names in it have been checked to be plain."""
    domain, agents = f'"{served.domain}"', f'"{served.agents}"'
    parts = []
    if limits:
        why = "\n".join(f"-- {line}" for line in limits.why)
        parts.append(_SENDING.format(why=why, burst=limits.burst, rate=limits.rate))
        parts.append(_SESSIONS.format(sessions=SESSIONS, domain=domain, agents=agents))
    if fenced:
        parts.append(_FENCE.format(agents=agents))
    if served.s2s:
        partners = ", ".join(f'["{name}"] = true' for name in served.s2s)
        parts.append(_SERVERS.format(domain=domain, partners=partners))
    return "".join([_HEAD, *parts]) if parts else ""
