"""A challenge of a site, shown in words and answered with a signature: for people who command from a plain client.

The site wrote the line and the server carried it, so nothing in it is believed: it is shown as it will be read, and
nothing else than a challenge is ever signed here.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from admin_console.signing import public_half, sign
from amon.errors import Failed
from amon.units import age
from amon.wire import Challenge, read_challenge

if TYPE_CHECKING:
    from admin_console.plain import PlainFace

_LONGEST_LIFE = 300  # seconds; a site asks for no more, so whatever does is not from one
_AHEAD = 60  # seconds that clocks may differ by


async def answer_challenge(
    text: str, key: Path, jid: str | None, face: "PlainFace", now: float, namespace: str, yes: bool
) -> str:
    """The line to paste, `ok BASE64`. `Invalid` for what is no challenge, `Failed` if it is not to be signed.

    jid: who asks, if that is known. now: epoch seconds. yes: said already, for what is in order.
    """
    challenge = read_challenge(text.strip())
    public, _ = public_half(key)
    face.note(_shown(challenge, f"{key} ({public.fingerprint})", now))
    doubts = _doubts(challenge, jid, now)
    for doubt in doubts:
        face.note(f"warning: {doubt}")
    if not yes or doubts:
        await _ask(face, bool(doubts))
    return f"ok {await sign(str(challenge).encode(), namespace, key, note=face.note)}"


def _shown(challenge: Challenge, key: str, now: float) -> str:
    rows = (
        ("site", challenge.site),
        ("command", challenge.line),
        ("asked by", challenge.by),
        ("good until", f"{_utc(challenge.expires)} ({_left(challenge.expires - now)})"),
        ("key", key),
    )
    return "\n".join(("your signature would let this be done:", *(f"  {name:<11} {value}" for name, value in rows)))


def _doubts(challenge: Challenge, jid: str | None, now: float) -> list[str]:
    doubts = []
    if jid is not None and challenge.by != jid.lower():
        doubts.append(f"it is for {challenge.by}, and you are {jid}: no site takes your signature for it")
    if now > challenge.expires:
        doubts.append("its time is over: the site will not take it; give the command again for a new one")
    if challenge.issued > now + _AHEAD:
        doubts.append("it was made in the future: one of the clocks, here or there, is wrong")
    if not 0 < challenge.expires - challenge.issued <= _LONGEST_LIFE:
        doubts.append(f"no site asks for a signature that is good for longer than {age(_LONGEST_LIFE)}; who wrote it?")
    return doubts


async def _ask(face: "PlainFace", doubtful: bool) -> None:
    if not face.can_ask:
        raise Failed(
            "not signed, because of the warning above"
            if doubtful
            else "not signed: here is no terminal to ask you at; next: --yes, if you have read what it says"
        )
    answer = await face.ask("sign it anyway? [y/N] " if doubtful else "sign it? [y/N] ")
    if answer.strip().lower() not in ("y", "yes"):
        raise Failed("not signed")


def _utc(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _left(seconds: float) -> str:
    return f"{age(seconds)} left" if seconds >= 0 else f"{age(-seconds)} ago"
