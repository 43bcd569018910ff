"""Whom an account obeys: its policy, the keys that count, and the fleet's bundle that is kept in the state directory.

A bundle that was accepted once grants for good what the site's own policy no longer can, so it must outlive the agent:
`STATE/policy/ACCOUNT` has the signature in its first line and the exact signed bytes behind it. It is read and verified
again at each start and reload; where that fails nobody may anything, and the reason says which file to look at.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from amon.access import Authority, Policy
from amon.access.bundle import MOST_TEXT, BadBundle, Bundle, open_bundle, read_bundle
from amon.access.signers import Signers, read_signers
from amon.access.sshkey import PublicKey
from amon.access.window import shown
from amon.clock import Clock
from amon.errors import Failed, Invalid
from amon.files import write_whole
from amon.health import Health
from amon.runtime.incoming import Door
from site_agent.files import mode_fault, read_file
from site_agent.findings import Finding, Group, findings

_MOST_SIGNERS = 1024 * 1024  # bytes
_MOST_SIGNATURE = 16 * 1024  # bytes
_SOON = 7 * 86_400.0  # seconds before a bundle expires
_LOOK = 3600.0  # seconds between looks at that


@dataclass(frozen=True, slots=True)
class Law:
    """What an account's file says of whom to obey. organisation: keys that sign bundles."""

    policy: Policy = field(default_factory=Policy)
    signers: Signers = field(default_factory=Signers)
    organisation: tuple[PublicKey, ...] = ()


def signers_of(file: Path | None, path: str, uid: int, found: list[Finding]) -> Signers:
    """The keys in this file that count; what is wrong with it goes to `found`."""
    if file is None:
        return Signers()
    if not file.is_absolute():
        found.append(Finding(path, f"{file} is relative; write the whole path"))
        return Signers()
    try:
        data, state = read_file(file, _MOST_SIGNERS)
        signers, problems = read_signers(data.decode(), path)
    except Failed as error:
        found.append(Finding(path, str(error)))
        return Signers()
    except UnicodeDecodeError:
        found.append(Finding(path, f"{file} is not text in UTF-8"))
        return Signers()
    fault = mode_fault(file, state, uid, private=False)
    if fault:
        found.append(Finding(path, fault, Group.mode))
    found += findings(problems, Group.policy)
    return signers


def organisation_of(lines: tuple[str, ...], path: str, found: list[Finding]) -> tuple[PublicKey, ...]:
    keys = []
    for place, line in enumerate(lines):
        try:
            keys.append(PublicKey.from_line(line))
        except Invalid as wrong:
            found.append(Finding(f"{path}[{place}]", str(wrong), Group.policy))
    return tuple(keys)


def authority_of(law: Law, domain: str, state: Path, account: str) -> Authority:
    """All of it together, as it stands on the disk at this moment. domain: where agents live."""
    bundle, fault = stored_bundle(state, account, law.organisation)
    return Authority(law.policy, domain, law.signers, bundle, fault)


def stored_bundle(state: Path, account: str, organisation: tuple[PublicKey, ...]) -> tuple[Bundle | None, str]:
    """The bundle that this account accepted last, and why nobody may anything where it cannot be taken any more."""
    file = _file(state, account)
    try:
        bundle = _stored(file)
    except (Failed, BadBundle) as error:
        return None, f"the policy bundle in {file} cannot be used: {error}; it has to be sent to this site again"
    if bundle is None or any(key.fingerprint == bundle.key for key in organisation):
        return bundle, ""
    return None, (
        f"the policy bundle {bundle.serial} is signed by {bundle.key}, which is not in `organisation` any more; "
        f"put it back, or remove {file} to go back to the site's own policy"
    )


def accept_bundle(
    text: bytes,
    sig: str,
    *,
    state: Path,
    account: str,
    organisation: tuple[PublicKey, ...],
    rooms: tuple[str, ...],
    now: float,
) -> Bundle:
    """Take a bundle over and keep it; whoever calls makes the authority anew. It holds when this returns.

    Raises `BadBundle` for one that is not taken, and `Failed` if the disk does not take it; nothing has changed then.
    """
    file = _file(state, account)
    last = None
    with suppress(Failed, BadBundle):  # one that cannot be read is what a new one mends
        last = _stored(file)
    bundle = open_bundle(text, sig, organisation, rooms, now, last)
    if bundle != last:
        _write(file, _one_line(sig).encode("ascii") + b"\n" + text)
    return bundle


def policy_health(authority: Authority, now: float) -> Health | None:
    """What everybody who sees this site may know of its policy; None if it is in force for long."""
    bundle = authority.bundle
    if authority.closed or (bundle is not None and bundle.out_of_date(now)):
        return Health.bad("nobody may anything: its policy is not in force", state="closed")
    if bundle is not None and bundle.expires - now < _SOON:
        return Health.fair(f"its policy expires {shown(bundle.expires)}", state="expiring")
    return None


async def watch_policy(door: Door, clock: Clock, told: Callable[[str, Health | None], None]) -> None:
    """Until cancelled: says in time that a new bundle is needed. A site nobody may ask cannot say it later."""
    while True:
        told(f"policy-{door.account}", policy_health(door.authority, clock.time()))
        await clock.sleep(_LOOK)


def _file(state: Path, account: str) -> Path:
    """Account names have no character that means something in a path (site_agent.settings.Name)."""
    return state / "policy" / account


def _stored(file: Path) -> Bundle | None:
    """What was accepted, by whatever key; its signature is verified all the same."""
    if not file.exists():
        return None
    sig, _, text = read_file(file, MOST_TEXT + _MOST_SIGNATURE)[0].partition(b"\n")
    return read_bundle(text, sig.decode("ascii", "replace"), None)


def _one_line(sig: str) -> str:
    """`ssh-keygen -Y sign` writes it armored, over several lines."""
    return "".join(line.strip() for line in sig.splitlines() if not line.startswith("-----"))


def _write(file: Path, data: bytes) -> None:
    """On the disk when it returns: a serial must not go back after a power loss."""
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Failed(f"{file} cannot be written: {(error.strerror or str(error)).lower()}") from None
    write_whole(file, data, alone=True)
