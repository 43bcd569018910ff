"""A site that wants signatures for whatever changes it: what they are worth to somebody who can say anything.

Alice's account is in the attacker's hands too, as it is in those of who runs its server; her key is not.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest

from amon.access import COMMAND, RESULT
from amon.access.sshsig import SigningKey
from amon.wire import Ended, Envelope, NeedsWord, Payload, Request, body_of, decode, encode, read_envelope, seal, unseal
from amon.xmpp import names
from tests.e2e.world import ALICE, OPS, World
from tests.security.attacker import Attacker
from tests.security.siege import EVE, Siege, besieged, chat, payload, room_payload

pytestmark = pytest.mark.timeout(240)
CAROL = "carol@amon.test"  # has a key that the site knows, and no role


@dataclass
class Keys:
    """Alice's and carol's key are known to the site; eve's is not."""

    alice: SigningKey
    carol: SigningKey
    eve: SigningKey


class Office:
    """Makes what alice would send."""

    def __init__(self, siege: Siege, keys: Keys) -> None:
        self.siege, self.keys = siege, keys

    def envelope(self, word: str = "", line: str = "", **changes: object) -> Envelope:
        now = self.siege.world.clock.time()
        made = Request(self.siege.new_id(), ("cern",), line or f"mark {word or self.siege.word()}", 30.0)
        plain = {"by": ALICE, "aud": OPS, "iat": now, "exp": now + 60, "request": made}
        return Envelope(**{**plain, **changes})  # type: ignore[arg-type]

    def sealed(self, envelope: Envelope, key: SigningKey | None = None, namespace: str = COMMAND) -> str:
        body = body_of(envelope)
        return seal(body, (key or self.keys.alice).sign(body.encode(), namespace))

    async def told(self, who: Attacker, envelope: Envelope, text: str) -> Payload:
        """What the agent says to a container."""
        ident = envelope.request.id
        await who.say(payload(text, more=f"id='{ident}'"))
        answer = await who.wait(lambda one: (one.get("id") or "").startswith(f"{ident}-"))
        return decode(answer.findtext(names.AMON) or "")

    async def control(self) -> None:
        """Alice's signed order has its effect."""
        (word,) = self.siege.expected(1)
        envelope = self.envelope(word)
        told = await self.told(self.siege.helm, envelope, self.sealed(envelope))
        assert isinstance(told, Ended)
        assert told.state == "done", told


@pytest.fixture
async def office(world: World) -> AsyncIterator[Office]:
    keys = Keys(*(SigningKey.generate(world.folder / name, name) for name in ("alice", "carol", "eve")))
    file = world.folder / "signers"
    file.write_text(f"{ALICE} {keys.alice.public.line}\n{CAROL} {keys.carol.public.line}\n")
    wants = 'signed = ["change", "danger"]\nconfirm = ["change", "danger"]'
    async with besieged(world, account=f'signers = "{file}"', wants=wants) as siege:
        siege.shows_plans = True
        office = Office(siege, keys)
        async with siege.proven(office.control):
            yield office


async def test_a_captured_signature_is_good_for_nothing_more(office: Office) -> None:
    siege = office.siege
    (word,) = siege.expected(1)
    envelope = office.envelope(word)
    captured = office.sealed(envelope)
    assert isinstance(await office.told(siege.alice, envelope, captured), Ended)
    await siege.alice.join(OPS, "alice")
    for name, who in (("alice", siege.alice), ("alice again", siege.helm), ("eve", siege.eve), ("thief", siege.thief)):
        await siege.attempt(f"the captured signature by {name}", who, payload(captured))
    await siege.alice.say_in_room(OPS, room_payload(captured))
    await siege.attempt("the captured signature in the room", siege.alice, "<presence/>")
    for name, text in damaged(captured, office).items():
        await siege.attempt(name, siege.alice, payload(text))
        await siege.attempt(f"{name}, by a stranger", siege.eve, payload(text))
    await siege.restart()
    await siege.attempt("the captured signature after a restart", siege.alice, payload(captured))
    assert siege.effects() == []


def damaged(captured: str, office: Office) -> dict[str, str]:
    """The captured container as its finder might change it."""
    sealed = unseal(captured)
    assert sealed.sig is not None
    request = read_envelope(sealed.body).request
    other = replaced(sealed.body, request.line, f"mark {office.siege.word()}")
    nonce = replaced(sealed.body, request.id, office.siege.new_id())
    return {
        "stripped of its signature": seal(sealed.body),
        "the request inside, without a signature": encode(request),
        "the request inside, with the signature": seal(body_of(request), sealed.sig),
        "with another line": seal(other, sealed.sig),
        "with another nonce": seal(nonce, sealed.sig),
        "with a blank more": seal(sealed.body + " ", sealed.sig),
        "with half of the signature": seal(sealed.body, sealed.sig[: len(sealed.sig) // 8 * 4]),
        "with an empty signature": seal(sealed.body, ""),
        "with two signatures": captured.replace('"sig":', '"sig":"U1NIU0lH","sig":'),
    }


def replaced(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new)


Forge = Callable[[Office], tuple[Envelope, str]]


def over(changed: Callable[[Envelope], Envelope], namespace: str = COMMAND) -> Forge:
    """Signed by alice herself, over something that is not good here and now."""

    def forge(office: Office) -> tuple[Envelope, str]:
        envelope = changed(office.envelope())
        return envelope, office.sealed(envelope, namespace=namespace)

    return forge


def by(name: str, jid: str = ALICE) -> Forge:
    """Signed by somebody else's key."""

    def forge(office: Office) -> tuple[Envelope, str]:
        envelope = office.envelope(by=jid)
        return envelope, office.sealed(envelope, getattr(office.keys, name))

    return forge


def struct(envelope: Envelope, **changes: object) -> Envelope:
    plain = {name: getattr(envelope, name) for name in ("by", "aud", "iat", "exp", "request")}
    return Envelope(**{**plain, **changes})


FORGERIES: dict[str, Forge] = {
    "for another fleet": over(lambda one: struct(one, aud="other@rooms.amon.test")),
    "for the same room elsewhere": over(lambda one: struct(one, aud="ops@rooms.amon.test.evil.test")),
    "by somebody else inside": over(lambda one: struct(one, by=EVE)),
    "by nobody inside": over(lambda one: struct(one, by="@@@")),
    "long ended": over(lambda one: struct(one, iat=one.iat - 3600, exp=one.iat - 3540)),
    "from the future": over(lambda one: struct(one, iat=one.iat + 3600, exp=one.iat + 3660)),
    "good for a day": over(lambda one: struct(one, exp=one.iat + 86_400)),
    "good for ever": over(lambda one: struct(one, exp=32_503_680_000)),
    "ended before it began": over(lambda one: struct(one, exp=one.iat - 1)),
    "for what a site says": over(lambda one: one, RESULT),
    "for no purpose at all": over(lambda one: one, "file"),
    "by a key that nobody knows": by("eve"),
    "by the key of another person": by("carol"),
    "by another person with her key": by("carol", CAROL),
}


async def test_a_signature_that_is_not_hers_for_here_and_now_is_refused(office: Office) -> None:
    for name, forge in FORGERIES.items():
        envelope, text = forge(office)
        told = await office.told(office.siege.alice, envelope, text)
        assert isinstance(told, Ended)
        assert (told.state, "signature was not accepted" in told.text) == ("refused", True), (name, told)
        await office.siege.attempt(name, office.siege.alice, payload(text))
        assert office.siege.effects() == [], name


async def test_an_order_signed_for_another_site_is_not_for_this_one(office: Office) -> None:
    envelope = office.envelope()
    other = struct(envelope, request=Request(envelope.request.id, ("desy",), envelope.request.line, 30.0))
    await office.siege.attempt("signed for desy", office.siege.alice, payload(office.sealed(other)))
    assert office.siege.effects() == []


async def test_who_has_her_account_and_not_her_key_changes_nothing(office: Office) -> None:
    siege = office.siege
    envelope = office.envelope()
    told = await office.told(siege.alice, envelope, encode(envelope.request))
    assert isinstance(told, NeedsWord)
    assert told.signature
    confirmed = Request(siege.new_id(), ("cern",), f"mark {siege.word()}", 30.0, confirmed=True)
    tried = await siege.attempt("confirmed, without a signature", siege.alice, payload(encode(confirmed)))
    tried = await siege.attempt("typed", siege.alice, chat(f"mark {siege.word()}", more="id='typed-1'"))
    said = "\n".join(tried.back)
    assert "amon1 " in said
    (line,) = [one for one in said.splitlines() if one.startswith("amon1 ")]
    answers = {
        "yes to it": "yes",
        "no signature": "ok",
        "a made-up signature": "ok " + "QUJD" * 60,
        "the signature of a stranger": "ok " + office.keys.eve.sign(line.encode(), COMMAND),
        "the signature of another person": "ok " + office.keys.carol.sign(line.encode(), COMMAND),
        "a signature over less": "ok " + office.keys.alice.sign(line[:-1].encode(), COMMAND),
    }
    for name, text in answers.items():
        await siege.attempt(f"answered with {name}", siege.alice, chat(text))
    assert siege.effects() == []
