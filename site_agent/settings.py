"""The agent's configuration as types: what may be written, in which unit, and what it means. TOML is read into these.

The commented example (`amon-agent example`) and every message about a mistake are made from here.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from amon.access import Policy
from amon.fields import Field, Secret
from amon.runtime.sinks import SinkName
from amon.xmpp.written import CaFile, Host, Pins, Port, Proxy, Tls

Name = Annotated[str, Field("a name", pattern=r"[a-z0-9][a-z0-9_-]*", longest=32)]
TagName = Annotated[str, Field("a tag", pattern=r"[a-z0-9][a-z0-9_.-]*", longest=32)]
TagValue = Annotated[str, Field("its value", pattern=r"[\w.:/+-]+", longest=64)]
Room = Annotated[str, Field("a room", pattern=r"[^@/\s]+@[^@/\s]+", longest=512)]


@dataclass(frozen=True, slots=True)
class Account:
    """One login at one XMPP server, with its own policy."""

    jid: Annotated[
        str,
        Field("this agent's address", pattern=r"[^@/\s]+@[^@/\s]+", longest=512, example="site-1@agents.example.org"),
    ]
    password: Annotated[
        Secret | None, Field("the password itself; better in a file of its own", secret=True, example="...")
    ] = None
    password_file: Annotated[Path | None, Field("file with the password, mode 0600", example="/etc/amon/password")] = (
        None
    )
    credential: Annotated[
        Name | None, Field("systemd credential (LoadCredential=) with the password", example="password")
    ] = None
    rooms: Annotated[tuple[Room, ...], Field("rooms to be in", longest=20, example=("ops@rooms.example.org",))] = ()
    host: Host = None
    port: Port = None
    tls: Tls = "starttls"
    ca_file: CaFile = None
    proxy: Proxy = None
    pins: Pins = ()
    certificate: Annotated[
        Path | None,
        Field("this agent's own certificate (PEM), to log in by it instead of a password", example="/etc/amon/tls.pem"),
    ] = None
    certificate_key: Annotated[
        Path | None, Field("its key, mode 0600; in the same file if not given", example="/etc/amon/tls.key")
    ] = None
    rotate: Annotated[
        float | None,
        Field(
            "change the password this often; needs a `password_file` in a directory that the agent can write",
            unit="s",
            least=3600,
            example=30 * 86_400,
        ),
    ] = None
    key: Annotated[
        Path | None,
        Field("file with this site's own key, mode 0600; it signs what calls came to", example="/etc/amon/site.key"),
    ] = None
    prefix: Annotated[str, Field("begins a command in a room", pattern=r"[!.,;#$%&+~^]", longest=1)] = "!"
    reveal: Annotated[
        tuple[Name, ...] | None,
        Field("instances whose health this account shows; all if not given", longest=100, example=("uptime",)),
    ] = None
    signers: Annotated[
        Path | None,
        Field("file with the keys that sign requests (allowed_signers of ssh-keygen)", example="/etc/amon/signers"),
    ] = None
    organisation: Annotated[
        tuple[Annotated[str, Field("a public key like ssh-ed25519 AAAA...", longest=4096)], ...],
        Field(
            "keys that sign policies of the whole fleet; once one came, the policy below can only take away",
            longest=20,
            example=("ssh-ed25519 AAAA... organisation",),
        ),
    ] = ()
    policy: Annotated[Policy, Field("who may ask what; nobody else may anything")] = field(default_factory=Policy)


@dataclass(frozen=True, slots=True)
class InstanceSettings:
    """One named instance of a module."""

    module: Annotated[Name | None, Field("the module; the instance's own name if not given", example="uptime")] = None
    settings: Annotated[dict[str, Any], Field("the module's own settings")] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """All of `agent.toml`."""

    state: Annotated[Path, Field("directory for the journal and what instances keep")] = Path("/var/lib/amon-agent")
    log: Annotated[Literal["debug", "info", "warning", "error"], Field("how much is logged")] = "info"
    trace: Annotated[bool, Field("log every stanza, with secrets masked; for looking into trouble only")] = False
    audit_to: Annotated[
        tuple[SinkName, ...], Field("where the audit goes besides the journal", longest=2, example=("journald",))
    ] = ()
    tags: Annotated[
        dict[TagName, TagValue], Field("facts about this site that targets can name", longest=50, example={"tier": "1"})
    ] = field(default_factory=dict)
    account: Annotated[dict[Name, Account], Field("logins, by a name of your choice", longest=20, example="main")] = (
        field(default_factory=dict)
    )
    instance: Annotated[
        dict[Name, InstanceSettings], Field("instances of modules, by name", longest=100, example="uptime")
    ] = field(default_factory=dict)
