"""A policy made into a bundle: head, the people's text as it stands, and the organisation's signature over all of it.

SERIAL.toml and SERIAL.sig are kept beside the policy, in `signed/`: what was in force when, and what is brought again.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from xml.sax.saxutils import escape

from admin_console.server.files import write_private
from amon.access import Authority
from amon.access.bundle import BadBundle, Bundle, read_bundle, unsigned
from amon.access.sshkey import PublicKey
from amon.access.sshsig import BUNDLE
from amon.errors import Failed
from amon.ids import new_id
from amon.runtime.signing import Sign
from amon.wire import NewPolicy, WireError, decode, encode
from amon.words import Asker

_SIGNATURE = 1024  # characters; one by a hardware key has 400
_STANZA = 250_000  # bytes; servers take 256 KiB
LASTS = 90 * 86_400.0  # seconds that a bundle is good for
_HEAD = """\
fleet = "{fleet}"
serial = {serial}
issued = "{issued}"
expires = "{expires}"

"""


@dataclass(frozen=True, slots=True)
class Signed:
    """A bundle and its signature, as they travel."""

    bundle: Bundle
    sig: str

    @property
    def text(self) -> str:
        return self.bundle.text.decode()


class Shelf:
    """What was signed, in the folder beside the policy."""

    def __init__(self, policy: Path) -> None:
        self.folder = policy.parent / "signed"

    def last(self) -> Signed | None:
        """The one with the highest serial. `Failed` if it cannot be read any more."""
        serials = [int(path.stem) for path in self.folder.glob("*.toml") if path.stem.isdecimal()]
        if not serials:
            return None
        path = self.folder / f"{max(serials)}.toml"
        try:
            sig = path.with_suffix(".sig").read_text().strip()
            return Signed(read_bundle(path.read_bytes(), sig, None), sig)
        except (OSError, UnicodeDecodeError, BadBundle) as fault:
            raise Failed(
                f"{path} cannot be used any more: {fault}; next: put it back from a copy or remove it"
            ) from None

    def put(self, signed: Signed) -> None:
        self.folder.mkdir(mode=0o700, exist_ok=True)
        path = self.folder / f"{signed.bundle.serial}.toml"
        write_private(path.with_suffix(".sig"), f"{signed.sig}\n")  # first: what has a text has its signature
        write_private(path, signed.text)


def bundle_text(source: str, fleet: str, serial: int, now: float, lasts: float = LASTS) -> str:
    """What is signed. `Failed` tells what is wrong with the people's text."""
    head = _HEAD.format(fleet=fleet, serial=serial, issued=_time(now), expires=_time(now + lasts))
    text = head + source
    try:
        unsigned(text.encode())
    except BadBundle as bad:
        raise Failed(f"the policy cannot be signed: {bad}") from None
    _check_travels(text, now)
    return text


def still_named(source: str, jid: str, now: float) -> str:
    """The line that gives this person something all the same, by a pattern; empty if none does."""
    policy = unsigned(bundle_text(source, "any@room.invalid", 1, now).encode()).policy
    decision = Authority(policy, "").decide(Asker(jid), None, now)
    return decision.rule if decision.allowed else ""


def _check_travels(text: str, now: float) -> None:
    """A site says nothing to what it cannot read, and a server ends the session over what is too large."""
    try:
        payload = encode(NewPolicy(new_id(now), text, "A" * _SIGNATURE))
        decode(payload)
        size = len(escape(payload, {'"': "&quot;", "'": "&apos;"}).encode())
    except WireError:
        size = _STANZA + 1
    if size > _STANZA:
        raise Failed("the policy is too long to travel as one message; next: name people by groups or by a pattern")


def body(signed: Signed | None) -> str:
    """The people's text in a bundle; empty for none."""
    if signed is None:
        return ""
    head = _HEAD.count("\n")
    return "".join(signed.text.splitlines(keepends=True)[head:])


async def sign_bundle(text: str, sign: Sign, organisation: tuple[PublicKey, ...]) -> Signed:
    """`Failed` if the key that signed is none that sites take. organisation: empty where that is not known here."""
    sig = await sign(text.encode(), BUNDLE)
    try:
        return Signed(read_bundle(text.encode(), sig, organisation or None), sig)
    except BadBundle as bad:
        raise Failed(f"no site would take this policy: {bad}; next: sign with a key of `organisation`") from None


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
