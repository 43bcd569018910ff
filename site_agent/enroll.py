"""`amon-agent enroll`: a token becomes account, key and configuration. Killed anywhere, it is said again and goes on.

The order is what makes that so: each secret is on the disk before the server or the configuration knows of it, and the
configuration, which is what makes this place a site, comes last. The files are those of `place.py`.
"""

import asyncio
import secrets
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TextIO

from amon.access.invitation import MARK, Invitation, read_token
from amon.access.sshsig import SigningKey
from amon.clock import Clock, SystemClock
from amon.errors import Failed
from amon.xmpp.connection import Connection
from amon.xmpp.events import Bounced, Offline, Online, Received, RoomState, Seen
from amon.xmpp.login import Login, Times
from amon.xmpp.tls import tls_context
from site_agent.files import read_file
from site_agent.place import (
    Place,
    as_owner,
    configuration_of,
    is_done,
    keep,
    owner_of,
    prepare,
    site_key,
    write_configuration,
    written_at,
)
from site_agent.rotate import logs_in

_WITHIN = 60.0  # seconds for all that is asked of the server
_TIMES = Times(connect=20, login=20, ask=20, retry_first=0.2, goodbye=1)
_MOST = 64 * 1024  # bytes

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What came of it. again: it had been done before, and nothing was changed. kept: the configuration before it."""

    invitation: Invitation
    place: Place
    fingerprint: str
    again: bool = False
    kept: Path | None = None

    def document(self) -> dict[str, str | bool | None]:
        """For programs. Stable: keys are added, never renamed."""
        return {
            "site": self.invitation.site,
            "jid": self.invitation.jid,
            "key": self.fingerprint,
            "config": str(self.place.config),
            "state": str(self.place.state),
            "again": self.again,
            "kept": str(self.kept) if self.kept else None,
        }

    def text(self) -> str:
        """For the person who did it, who reads the fingerprint to the one who approves."""
        site, place = self.invitation.site, self.place
        # As root it would find fault with every file that belongs to the agent's user.
        look = f"{f'runuser -u {place.user} -- ' * bool(place.user)}amon-agent check --config {place.config}"
        lines = {
            "site": f"{site} ({self.invitation.jid})",
            "key": self.fingerprint,
            "config": f"{place.config}: yours to change; {look}",
            "state": str(place.state),
        }
        if self.kept:
            lines["kept"] = f"{self.kept}: what was there before; take its policy and instances over from it"
        said = [f"{name + ':':<8} {line}" for name, line in lines.items()]
        head = f"{site} was enrolled already; nothing was changed" if self.again else f"{site} is enrolled"
        begin = "systemctl restart amon-agent" if self.kept else "systemctl enable --now amon-agent"
        start = begin if place.user else f"amon-agent run --config {place.config}"
        tell = f"{self.invitation.inviter} looks at the key above and says: amon approve {site}"
        return "\n".join((head, *said, "next:", f"  here:    {start}", f"  console: {tell}")) + "\n"


def token_of(word: str, stdin: TextIO) -> Invitation:
    """The invitation in what was said: the token, `-` for standard input, or a file; `Invalid` or `Failed`."""
    if word == "-":
        return read_token(stdin.read(_MOST))
    if word.startswith(MARK):
        return read_token(word)
    data, _ = read_file(Path(word), _MOST)
    return read_token(data.decode(errors="replace"))


async def enroll(
    invitation: Invitation, place: Place, *, clock: Clock | None = None, progress: Progress = lambda text: None
) -> Enrolled:
    """Makes this host the site of the invitation; `Failed` says what is in the way and what to do."""
    clock = clock or SystemClock()
    owner = owner_of(place)
    configuration = configuration_of(invitation, place)
    written = written_at(place.config)
    if written is not None and written != configuration and not place.force:
        raise Failed(f"{place.config} is there already; next: --force replaces it, --config FILE writes another one")
    with as_owner(owner, place):
        if written == configuration and is_done(invitation, place):
            return Enrolled(invitation, place, SigningKey.load(place.key).public.fingerprint, again=True)
        progress("making the key of this site")
        key = site_key(place.key, invitation.site)
        progress("writing the token's secret and a new one to the disk")
        if prepare(invitation, place, clock):
            await _take_account(invitation, place, progress)
            progress("putting the new password in place")
            place.passwords.promote()
    progress(f"writing {place.config}")
    kept = keep(place.config, clock) if written not in (None, configuration) else None
    write_configuration(invitation, place, configuration, owner)
    return Enrolled(invitation, place, key.public.fingerprint, kept=kept)


async def _take_account(invitation: Invitation, place: Place, progress: Progress) -> None:
    """From the token's password to one that nobody else has ever seen."""
    files = place.passwords
    own = files.held(files.next)
    context = tls_context(place.ca if invitation.ca is not None else None)
    login = Login(
        jid=invitation.jid,
        password=invitation.password,
        spare=(own,),
        resource=f"enroll-{secrets.token_hex(3)}",
        host=invitation.host,
        port=invitation.port,
        tls=invitation.tls,
        pins=invitation.pins,
    )
    try:
        async with asyncio.timeout(_WITHIN):
            progress(f"logging in as {invitation.jid}")
            await _change(login, own, context, invitation, progress)
            progress("logging in again with a password of its own")
            if not await logs_in(login, own, context):
                raise Failed("the server said that it took a new password, and refuses it; next: say this again")
    except TimeoutError:
        raise Failed(f"the server took longer than {_WITHIN:g} s; next: say this again") from None


async def _change(login: Login, own: str, context: ssl.SSLContext, invitation: Invitation, progress: Progress) -> None:
    ear = Ear()
    connection = Connection(login, ear, context=context, random=Random(), times=_TIMES)
    life = asyncio.create_task(connection.run(), name="enrolment")
    try:
        await ear.wait_up(tries=2, invitation=invitation)
        if connection.password_works == 0:  # else it was changed when this was said the first time
            progress("giving the account a password of its own")
            await connection.change_password(own)
    finally:
        life.cancel()
        await asyncio.wait((life,))


class Ear:
    """A `Listener` that waits for the session, or for the reason why there is none."""

    def __init__(self) -> None:
        self._up = False
        self._faults: list[Offline] = []
        self._changed = asyncio.Event()

    async def wait_up(self, tries: int, invitation: Invitation) -> None:
        """`Failed` when every password was refused, or the server cannot be reached."""
        while not self._up:
            refused = [one for one in self._faults if one.fault == "not-authorized"]
            if len(refused) >= tries:
                raise Failed(
                    f"the server refuses this token for {invitation.jid}: it was used before, or taken back; "
                    f"next: amon enroll --again {invitation.site} makes a new one"
                )
            if len(self._faults) > len(refused):
                raise Failed(self._faults[-1].reason)
            self._changed.clear()
            await self._changed.wait()

    def online(self, event: Online) -> None:
        self._up = True
        self._changed.set()

    def offline(self, event: Offline) -> None:
        self._faults.append(event)
        self._changed.set()

    def received(self, message: Received) -> None: ...
    def bounced(self, bounce: Bounced) -> None: ...
    def seen(self, presence: Seen) -> None: ...
    def room(self, state: RoomState) -> None: ...
    def may_see(self, jid: str) -> bool:
        return False
