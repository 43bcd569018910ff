"""Signed requests: what is done because of a signature, and every way in which one is not accepted."""

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from amon.access import RESULT, Policy
from amon.runtime.payload import PayloadFront
from amon.testing import FakeClock
from amon.wire import Ended, Fetch, NeedsWord, Proof, Request, body_of, encode, read_proof, seal, unseal
from amon.xmpp.events import Received
from tests.runtime.hands import OWNERS, envelope, key_of, signed, signed_door, signers
from tests.runtime.scene import AGENTS, ALICE, BOB, EVE, FLEET, Site, site
from tests.runtime.test_payload import ID, OTHER, Line, state

WIPE = Request(ID, ("cern",), "wipe xyzzy", 30.0)
LOOK = Request(ID, ("cern",), "look", 30.0)


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Site]:
    async with site(tmp_path, clock=FakeClock(1_000_000)) as lab:
        yield lab


@pytest.fixture
def line(lab: Site) -> Line:
    return Line(lab, signed_door())


def now(line: Line) -> float:
    return line.lab.clock.time()


async def test_what_is_dangerous_is_planned_until_it_is_signed_and_then_done_once(line: Line) -> None:
    (asked,) = await line.hear(replace_request(WIPE))
    assert isinstance(asked, NeedsWord)
    assert (asked.signature, asked.text, line.lab.log) == (True, "would wipe", [])
    text = signed(envelope(WIPE, now(line)))
    assert state(await line.hear(text)) == "done"
    assert state(await line.hear(text)) == "done"  # the stored outcome
    assert await audit_ends(line) == ["needs a signature", "accepted", "done"]


def replace_request(request: Request, **other: Any) -> Request:
    return Request(**{name: other.get(name, getattr(request, name)) for name in request.__struct_fields__})


async def audit_ends(line: Line) -> list[str]:
    return [one.rpartition(": ")[2] for one in await line.lab.audit()]


async def test_the_audit_has_the_key(line: Line) -> None:
    await line.hear(signed(envelope(WIPE, now(line))))
    assert {one.key for one in await line.lab.journal.recent(10)} == {key_of("alice").public.fingerprint}


async def test_a_dry_run_needs_no_signature(line: Line) -> None:
    assert state(await line.hear(replace_request(WIPE, dry_run=True))) == "done"


async def test_several_sites_need_a_yes_besides_the_signature(line: Line) -> None:
    many = replace_request(WIPE, job_sites=3)
    (asked,) = await line.hear(signed(envelope(many, now(line))))
    assert isinstance(asked, NeedsWord)
    assert not asked.signature
    assert state(await line.hear(signed(envelope(replace_request(many, confirmed=True), now(line))))) == "done"


async def test_without_anybodys_key_a_dangerous_command_is_refused_with_the_next_step(lab: Site) -> None:
    line = Line(lab, signed_door(OWNERS, nobody=EVE))
    line.front.door.authority.signers = signers()
    (ended,) = await line.hear(WIPE)
    assert isinstance(ended, Ended)
    assert ended.state == "refused"
    assert "`signers`" in ended.text


@pytest.mark.parametrize("observer", [(ALICE,), ()])
async def test_a_role_of_a_key_holds_for_signed_requests_only(lab: Site, observer: tuple[str, ...]) -> None:
    mine = key_of("alice").public.fingerprint
    line = Line(lab, signed_door(Policy(observer=observer, owner=(f"key:{mine}",))))
    (asked,) = await line.hear(WIPE)
    assert isinstance(asked, NeedsWord)
    assert asked.signature
    assert "would" not in asked.text  # for who may not unsigned, not even a plan is made
    assert state(await line.hear(replace_request(WIPE, dry_run=True))) == "refused"
    assert state(await line.hear(signed(envelope(replace_request(WIPE, id=OTHER), now(line))))) == "done"


async def test_whoever_is_somebody_by_his_key_alone_can_fetch_what_his_request_came_to(lab: Site) -> None:
    mine = key_of("alice").public.fingerprint
    line = Line(lab, signed_door(Policy(owner=(f"key:{mine}",))))
    await line.hear(signed(envelope(WIPE, now(line))))
    assert state(await line.hear(Fetch(ID))) == "done"
    assert await line.hear(Fetch(ID), by=EVE) == []


async def test_a_signed_request_may_come_late_straight_but_never_through_a_room(line: Line) -> None:
    text = signed(envelope(LOOK, now(line)))
    assert await line.hear(text, delayed=True, room=FLEET) == []
    assert state(await line.hear(text, delayed=True)) == "done"


async def test_a_signed_request_for_another_site_is_nothing_to_us(line: Line) -> None:
    assert await line.hear(signed(envelope(replace_request(WIPE, names=("desy",)), now(line)))) == []


def _changed(name: str, value: Any) -> Callable[[Line], str]:
    """The right signature over a body that says something else."""

    def make(line: Line) -> str:
        sealed = unseal(signed(envelope(WIPE, now(line))))
        body = json.loads(sealed.body)
        (body["request"] if name in body["request"] else body)[name] = value
        return seal(json.dumps(body), sealed.sig)

    return make


BAD: dict[str, Callable[[Line], str]] = {
    "a stranger's key": lambda line: signed(envelope(WIPE, now(line)), "eve"),
    "another person's key": lambda line: signed(envelope(WIPE, now(line)), "bob"),
    "another person's request": lambda line: signed(envelope(WIPE, now(line), by=BOB), "alice"),
    "another fleet": lambda line: signed(envelope(WIPE, now(line), aud="ops@rooms.example.net")),
    "another use of signatures": lambda line: signed(envelope(WIPE, now(line)), namespace=RESULT),
    "expired": lambda line: signed(envelope(WIPE, now(line) - 61)),
    "made in the future": lambda line: signed(envelope(WIPE, now(line) + 61)),
    "good for too long": lambda line: signed(envelope(WIPE, now(line), exp=now(line) + 301)),
    "ends before it begins": lambda line: signed(envelope(WIPE, now(line), exp=now(line) - 1)),
    "older than the journal": lambda line: signed(envelope(WIPE, now(line) - 30)),
    "no envelope": lambda line: signed(WIPE),
    "no JSON": lambda line: seal("{", key_of("alice").sign(b"{", "amon-cmd@v1")),
    "no signature at all": lambda line: seal(body_of(envelope(WIPE, now(line))), ""),
    "another line": _changed("line", "wipe plugh"),
    "another id": _changed("id", OTHER),
    "another name": _changed("names", ["cern", "desy"]),
    "another time": _changed("exp", 1_000_100.0),
    "another fleet put in": _changed("aud", "ops@rooms.example.net"),
}


@pytest.mark.parametrize("how", BAD)
async def test_a_signature_that_is_not_right_is_refused_in_one_sentence_and_the_log_says_why(
    line: Line, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "amon.dispatch")
    text = BAD[how](line)
    (ended,) = await line.hear(text, id=f"{OTHER}-ask")
    assert isinstance(ended, Ended)
    assert (ended.id, ended.state) == (OTHER, "refused")
    assert ended.text == "the signature was not accepted here; why stands in the log of this site"
    assert f"refused {ALICE}: {ended.text} (signature: " in caplog.text
    assert line.lab.log == []
    (written,) = await line.lab.journal.recent(10)
    assert (written.allowed, written.rule.startswith("signature: ")) == (False, True)


async def test_the_signature_of_one_is_nothing_in_the_hand_of_another(line: Line) -> None:
    text = signed(envelope(WIPE, now(line)))
    assert state(await line.hear(text, by=BOB)) == "refused"  # an owner here, too
    assert state(await line.hear(text, by=EVE)) == "refused"
    assert state(await line.hear(text, by=f"cern2@{AGENTS}")) == "refused"
    assert line.lab.log == []


async def test_what_lost_its_signature_is_no_order(line: Line) -> None:
    assert await line.hear(encode(WIPE).replace("request", "envelope")) == []
    assert await line.hear(seal(body_of(envelope(WIPE, now(line))))) == []


async def test_a_journal_that_was_lost_lets_nothing_old_run_again(tmp_path: Path) -> None:
    clock = FakeClock(1_000_000)
    async with site(tmp_path, clock=clock, file="one") as lab:
        line = Line(lab, signed_door())
        text = signed(envelope(LOOK, now(line)))
        assert state(await line.hear(text)) == "done"
    clock.advance(10)
    async with site(tmp_path, clock=clock, file="two") as lab:
        line = Line(lab, signed_door())
        assert state(await line.hear(text)) == "refused"
        assert lab.log == []


async def test_a_restart_does_not_forget_what_was_done(tmp_path: Path) -> None:
    clock = FakeClock(1_000_000)
    for done in (["restart httpd"], []):
        async with site(tmp_path, clock=clock, file="same") as lab:
            line = Line(lab, signed_door())
            request = replace_request(LOOK, line="restart httpd")
            assert state(await line.hear(signed(envelope(request, 1_000_000)))) == "done"
            assert lab.log == done
        clock.advance(5)


async def test_a_clock_that_cannot_be_trusted_accepts_no_signature(line: Line) -> None:
    line.front.door.clock_fault = "this clock is an hour behind the server's"
    assert state(await line.hear(signed(envelope(LOOK, now(line))))) == "refused"
    assert state(await line.hear(LOOK)) == "done"


async def test_a_site_with_a_key_signs_what_it_came_to(lab: Site) -> None:
    sent: list[str] = []

    def send(to: str, payload: str, ident: str) -> bool:
        sent.append(payload)
        return True

    sign = key_of("cern").sign
    front = PayloadFront("cern", signed_door(), lab.node.dispatch, send, lab.clock, Random(1), sign)
    await front.received(Received(ALICE, f"{ALICE}/console", "", payload=encode(LOOK)))
    (text,) = sent
    sealed = unseal(text)
    found = signers(cern=f"cern@{AGENTS}")
    assert sealed.sig is not None
    found.verify(sealed.body.encode(), sealed.sig, RESULT, f"cern@{AGENTS}", lab.clock.time())
    proof = read_proof(sealed.body)
    assert isinstance(proof, Proof)
    assert (proof.by, proof.to, proof.ended.id, proof.ended.state) == (f"cern@{AGENTS}", ALICE, ID, "done")
