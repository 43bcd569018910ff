"""People with keys, for tests: what they sign, and the doors that know their keys."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from amon.access import COMMAND, Policy, Signers, read_signers
from amon.access.sshsig import SigningKey
from amon.runtime.incoming import Door
from amon.wire import Envelope, Request, body_of, seal
from tests.runtime.scene import ALICE, BOB, FLEET, door

OWNERS = Policy(owner=(ALICE, BOB), confirm=(), rate=0)


@cache
def key_of(name: str) -> SigningKey:
    """Always the same key for a name."""
    with TemporaryDirectory() as folder:
        return SigningKey.generate(Path(folder) / "key", name)


def signers(**people: str) -> Signers:
    """Of name=bare address; the key is that of the name."""
    text = "".join(f"{jid} {key_of(name).public.line}\n" for name, jid in people.items())
    found, problems = read_signers(text, "signers")
    assert not problems
    return found


def signed_door(policy: Policy = OWNERS, **people: str) -> Door:
    return door(policy, signers=signers(**(people or {"alice": ALICE, "bob": BOB})))


def envelope(request: Request, now: float, *, by: str = ALICE, aud: str = FLEET, **times: float) -> Envelope:
    made = times.get("iat", now)
    return Envelope(by, aud, made, times.get("exp", made + 60), request)


def signed(content: Any, name: str = "alice", namespace: str = COMMAND) -> str:
    """The container as it travels."""
    body = body_of(content)
    return seal(body, key_of(name).sign(body.encode(), namespace))
