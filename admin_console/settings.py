"""The console's own configuration, console.toml, as types: who asks, through which server, in which room.

Where it is looked for: XDG Base Directory Specification, $XDG_CONFIG_HOME.
"""

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, TypeVar

from amon.config import Sources, example, read
from amon.errors import Failed, Problem
from amon.fields import Field, Secret
from amon.files import below
from amon.xmpp.written import CaFile, Host, Pins, Port, Proxy, Tls

_ADDRESS = r"[^@/\s]+@[^@/\s]+"
_MOST = 64 * 1024  # bytes


S = TypeVar("S", bound="Settings")


@dataclass(frozen=True, slots=True)
class Settings:
    """All of `console.toml`."""

    jid: Annotated[
        str, Field("your address; the sites' policies name it", pattern=_ADDRESS, longest=512, example="me@example.org")
    ]
    room: Annotated[
        str, Field("the room where the sites are", pattern=_ADDRESS, longest=512, example="ops@rooms.example.org")
    ]
    password: Annotated[Secret | None, Field("the password itself; better in a file of its own", secret=True)] = None
    password_file: Annotated[Path | None, Field("file with the password, mode 0600", example="console.password")] = None
    key: Annotated[
        Path | None,
        Field("your SSH key (Ed25519: file, agent or hardware); signs what needs it", example="~/.ssh/id_ed25519"),
    ] = None
    agents: Annotated[
        str | None,
        Field("domain of the sites' accounts", pattern=r"[^@/\s]+", longest=255, example="agents.example.org"),
    ] = None
    book: Annotated[
        Path | None, Field("the fleet book, with the secrets of enrolments; admins may share one", example="book.json")
    ] = None
    organisation: Annotated[
        tuple[str, ...],
        Field(
            "public keys that sign the policy of all sites; new sites are told them",
            longest=20,
            example=("ssh-ed25519 AAAA... organisation",),
        ),
    ] = ()
    organisation_key: Annotated[
        Path | None,
        Field("the SSH key that signs it, as in `key`; only for who signs policies", example="~/.ssh/organisation"),
    ] = None
    policy: Annotated[
        Path | None, Field("the policy of all sites, which `amon policy push` signs and brings", example="policy.toml")
    ] = None
    site_keys: Annotated[
        Path | None,
        Field("keys of approved sites (allowed_signers); their signed answers are checked", example="site_keys"),
    ] = None
    hub: Annotated[
        str | None,
        Field("the hub, which lends slots (--slots)", pattern=_ADDRESS, longest=512, example="hub@example.org"),
    ] = None
    host: Host = None
    port: Port = None
    tls: Tls = "starttls"
    ca_file: CaFile = None
    pins: Pins = ()
    proxy: Proxy = None


def default_path(environment: Mapping[str, str] = os.environ) -> Path:
    home = environment.get("XDG_CONFIG_HOME") or os.path.join(environment.get("HOME", "/"), ".config")  # noqa: PTH118
    return Path(home) / "amon" / "console.toml"


def data_path(room: str, environment: Mapping[str, str] = os.environ) -> Path:
    """What the console keeps about a room: XDG Base Directory Specification, $XDG_DATA_HOME."""
    home = environment.get("XDG_DATA_HOME") or os.path.join(environment.get("HOME", "/"), ".local", "share")  # noqa: PTH118
    return below(Path(home) / "amon", room)


def state_path(room: str, environment: Mapping[str, str] = os.environ) -> Path:
    """What the console did in a room, such as its book of jobs: XDG Base Directory Specification, $XDG_STATE_HOME."""
    home = environment.get("XDG_STATE_HOME") or os.path.join(environment.get("HOME", "/"), ".local", "state")  # noqa: PTH118
    return below(Path(home) / "amon", room)


def example_text() -> str:
    """A commented console.toml."""
    head = (
        "# The console of amon. Paths are relative to this file. A secret is written as text, or as where it is:\n"
        '# { file = "..." } (mode 0600), { env = "AMON_PASSWORD" } or { credential = "..." } (systemd).\n\n'
    )
    return head + example(Settings, live={"password_file": "console.password"})


def load(path: Path) -> Settings:
    """The settings of this file, with its password read and its paths made whole; `Failed` with the next step."""
    return load_as(path, Settings, "console", "amon example")


def load_as(path: Path, kind: type[S], whose: str, example: str) -> S:
    """The same for another kind of them. whose: what the file is of. example: the command that prints one."""
    text = _text(path, whose, example)
    problems: list[Problem] = []
    sources = Sources.here(path.absolute().parent, "amon")
    settings = read(text, kind, problems, sources.find)
    password = None if settings is None else _password(settings, path, sources, problems)
    if settings is None or problems:
        said = "\n".join(f"  {problem}" for problem in problems)
        raise Failed(f"{path} has mistakes:\n{said}\nnext: mend it; `{example}` prints one")
    if sources.written:
        _check_private(path)
    return replace(
        settings,
        password=password,
        password_file=_beside(path, settings.password_file),
        key=_beside(path, settings.key),
        book=_beside(path, settings.book),
        organisation_key=_beside(path, settings.organisation_key),
        policy=_beside(path, settings.policy),
        site_keys=_beside(path, settings.site_keys),
        ca_file=_beside(path, settings.ca_file),
    )


def _text(path: Path, whose: str, example: str) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_MOST).decode()
    except FileNotFoundError:
        raise Failed(
            f"the {whose} has no configuration: {path} is not there; next: `{example} > {path}` and put your "
            "address and room into it, or --config FILE"
        ) from None
    except OSError as error:
        raise Failed(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise Failed(f"{path} is not text in UTF-8; next: save it as UTF-8") from None


def _beside(path: Path, named: Path | None) -> Path | None:
    """Paths are relative to the file that names them, so that a folder can be moved as a whole."""
    return None if named is None else path.absolute().parent / named.expanduser()


def _password(settings: Settings, path: Path, sources: Sources, problems: list[Problem]) -> Secret | None:
    """`password_file` is short for `password = { file = "..." }`."""
    if (settings.password is None) == (settings.password_file is None):
        raise Failed(f"{path} must give exactly one of `password` and `password_file`; next: put one of them into it")
    if settings.password_file is not None:
        return sources.get("file", str(settings.password_file), "password_file", problems)
    return settings.password


def _check_private(path: Path) -> None:
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise Failed(f"{path} holds a secret and others can read it; next: chmod 600 {path}")
