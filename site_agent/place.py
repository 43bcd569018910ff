"""Where a site is made: its files, whose they are, and the configuration that a token becomes.

Written whole or not at all, by their owner: root writes nothing in a directory that somebody else can put links into.
"""

import contextlib
import os
import pwd
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from amon.access.invitation import Invitation
from amon.access.sshsig import SigningKey
from amon.clock import Clock
from amon.config.words import key as toml_key
from amon.config.words import value as toml_value
from amon.convert import Hint
from amon.errors import Failed
from amon.files import write_whole
from site_agent.files import read_file
from site_agent.passfiles import PassFiles

_ROTATE = "30 d"
_MOST = 1024 * 1024  # bytes


@dataclass(frozen=True, slots=True)
class Place:
    """Where a site is made: its configuration, what it keeps, and whom the agent runs as (None: who asks)."""

    config: Path
    state: Path
    user: str | None = None
    force: bool = False

    @property
    def passwords(self) -> PassFiles:
        return PassFiles(self.state / "password")

    @property
    def key(self) -> Path:
        return self.state / "site_key"

    @property
    def ca(self) -> Path:
        return self.state / "ca.pem"


def owner_of(place: Place) -> pwd.struct_passwd | None:
    """Whom the files belong to; None for who asks."""
    if os.geteuid() != 0 or place.user in (None, "root"):
        return None
    try:
        return pwd.getpwnam(str(place.user))
    except KeyError:
        raise Failed(
            f"there is no user {place.user}; next: useradd --system --groups systemd-journal --shell /usr/sbin/nologin "
            f"{place.user}, or --user NAME for whom the agent runs as"
        ) from None


@contextlib.contextmanager
def as_owner(owner: pwd.struct_passwd | None, place: Place) -> Iterator[None]:
    """Works in the state directory as its owner: as root one would follow whatever links he has put there."""
    try:
        place.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        if owner is not None and place.state.stat().st_uid == 0:
            os.chown(place.state, owner.pw_uid, owner.pw_gid, follow_symlinks=False)
    except OSError as error:
        raise Failed(f"{place.state} cannot be made: {(error.strerror or str(error)).lower()}") from None
    if owner is None:
        yield
        return
    os.setegid(owner.pw_gid)
    os.seteuid(owner.pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


def written_at(path: Path) -> str | None:
    if not path.exists():
        return None
    return read_file(path, _MOST)[0].decode(errors="replace")


def site_key(path: Path, site: str) -> SigningKey:
    """The one that is there, or a new one, which is there whole or not at all."""
    if path.exists():
        return SigningKey.load(path)
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}.new")
    made = SigningKey.generate(fresh, f"amon site {site}")
    fresh.replace(path)
    return made


def prepare(invitation: Invitation, place: Place, clock: Clock) -> bool:
    """Both secrets on the disk: the token's, which stays for a recovery, and the one that is to come.

    Whether there is anything left to ask of the server: not if this token has already become a password of our own.
    """
    files = place.passwords
    if files.held(files.recovery) == invitation.password:
        return bool(files.held(files.next))
    if invitation.expires <= clock.time():
        raise Failed(
            f"this token has expired; next: somebody with the console says amon enroll --again {invitation.site}"
        )
    if invitation.ca is not None:
        write_whole(place.ca, invitation.ca)
    write_whole(files.next, f"{secrets.token_urlsafe(32)}\n")
    write_whole(files.recovery, f"{invitation.password}\n")  # last: that it is there says that the others are
    return True


def is_done(invitation: Invitation, place: Place) -> bool:
    """Whether this very token has become this site already."""
    files = place.passwords
    used = files.held(files.recovery) == invitation.password
    return used and not files.next.exists() and files.path.exists() and place.key.exists()


def write_configuration(invitation: Invitation, place: Place, text: str, owner: pwd.struct_passwd | None) -> None:
    """Last of all. Where root makes it for an agent's user, that user may read it and not change it: a broken module
    must not give itself another policy. It holds no secret.
    """
    try:
        place.config.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    except OSError as error:
        raise Failed(f"{place.config.parent} cannot be made: {(error.strerror or str(error)).lower()}") from None
    if owner is None:
        write_whole(place.config, text)
    else:
        group = owner.pw_gid
        write_whole(place.config, text, 0o640, lambda descriptor: os.fchown(descriptor, 0, group))


def keep(config: Path, clock: Clock) -> Path:
    """Where the configuration stays that is about to be replaced: what its owner wrote into it stands nowhere else."""
    kept = config.with_name(f"{config.name}.{time.strftime('%Y%m%d-%H%M%S', time.gmtime(clock.time()))}")
    try:
        os.link(config, kept)  # with its mode and owner
    except OSError as error:
        raise Failed(f"{kept} cannot be made: {(error.strerror or str(error)).lower()}") from None
    return kept


def configuration_of(invitation: Invitation, place: Place) -> str:
    """The text of agent.toml; the same token for the same place makes the same text."""
    account: dict[str, object] = {
        "jid": invitation.jid,
        "password_file": str(place.passwords.path),
        "rotate": _ROTATE,
        "key": str(place.key),
        "rooms": [invitation.room],
        "host": invitation.host,
        "port": invitation.port,
        "tls": invitation.tls,
        "ca_file": str(place.ca) if invitation.ca is not None else None,
        "pins": list(invitation.pins) or None,
        "organisation": list(invitation.organisation) or None,
    }
    tables: dict[str, dict[str, object]] = {
        "": {"state": str(place.state)},
        "tags": dict(invitation.tags),
        "account.main": account,
        "account.main.policy": {"admin": [invitation.inviter]},
        "instance.uptime": {},
        "instance.host": {},
    }
    head = (
        "# Written by `amon-agent enroll`; yours to change. Every key with its meaning: amon-agent example\n"
        "# Look it over: amon-agent check     Take it over without a stop: systemctl reload amon-agent\n"
    )
    return head + "\n".join(_table(name, keys) for name, keys in tables.items() if keys or name[:8] == "instance")


def _table(name: str, keys: dict[str, object]) -> str:
    lines = [f"[{name}]"] if name else []
    lines += [f"{toml_key(key)} = {toml_value(given, Hint(str))}" for key, given in keys.items() if given is not None]
    return "\n".join(lines) + "\n"
