"""Two persons: what one asked for waits until another one says yes, and is never done by one alone."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from amon.access import Policy
from amon.ids import code, new_id
from amon.testing import FakeClock
from amon.words import Effect
from tests.runtime.hands import key_of, signed_door
from tests.runtime.scene import ALICE, BOB, EVE, Ear, Site, door, site

ID = "01JD8M5W8X1V6Q2R3S4T5V6W7X"
WORD = code(ID)
CAROL = "carol@example.org"
TWO = door(Policy(admin=(ALICE, BOB), observer=(CAROL,), two_persons=("lab restart",), confirm=(), rate=0))


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Site]:
    async with site(tmp_path) as lab:
        yield lab


async def begun(lab: Site, **more: Any) -> "tuple[Ear, asyncio.Task[None]]":
    ear, task = lab.begin("restart httpd", **{"door": TWO, "ident": ID, **more})
    await ear.wait(f"progress waits 10 min for a second person, who says: approve {WORD}")
    return ear, task


async def approved(lab: Site, by: str, word: str = WORD, **more: Any) -> str:
    """As a person does it: looks what waits, and then says yes to just that."""
    said = await look(lab, by, word, **more)
    whole = said.rpartition(": approve ")[2]
    return await look(lab, by, whole, **more) if len(whole) == 26 else said


async def look(lab: Site, by: str, word: str = WORD, **more: Any) -> str:
    ear = await lab.ask(f"approve {word}", **{"by": by, "door": TWO, **more})
    return f"{ear.last.state}: {ear.last.text}"


async def test_it_is_done_when_another_one_says_yes_and_the_audit_has_both(lab: Site) -> None:
    ear, task = await begun(lab)
    assert lab.log == []
    assert await approved(lab, BOB, WORD.lower()) == f"done: lab restart, asked for by {ALICE}, goes on"
    await task
    assert (ear.last.state, lab.log) == ("done", ["restart httpd"])
    (done,) = [one for one in await lab.journal.recent(10) if one.outcome == "done" and "restart" in one.line]
    assert (done.asker, done.rule) == (ALICE, f"admin {ALICE}; second person {BOB}")


@pytest.mark.parametrize(
    ("by", "word", "why"),
    [
        (ALICE, WORD, "you are the first"),
        (CAROL, WORD, "needs role"),
        (EVE, WORD, "has no role"),
        (BOB, "7Q", "nothing waits here"),
    ],
)
async def test_it_is_not_done_for_a_yes_that_is_none(lab: Site, by: str, word: str, why: str) -> None:
    ear, task = await begun(lab)
    said = await approved(lab, by, word)
    assert said.startswith("refused: ")
    assert why in said
    assert lab.log == []
    lab.node.dispatch.cancel(("lab", ALICE, ID))
    await task
    assert (ear.last.state, lab.log) == ("cancelled", [])


async def test_a_yes_through_another_account_is_none(lab: Site) -> None:
    _, task = await begun(lab)
    other = door(Policy(admin=(BOB,)), account="other")
    assert "nothing waits here" in await approved(lab, BOB, door=other)
    task.cancel()


async def test_nobody_says_yes_and_nothing_is_done(lab: Site) -> None:
    ear, task = await begun(lab)
    await _pass(lab.clock, 31)
    assert ear.last.state == "running"
    await _pass(lab.clock, 600)
    await task
    assert (ear.last.state, lab.log) == ("expired", [])
    assert "nothing waits" in await approved(lab, BOB)


async def test_whoever_lost_the_right_while_it_waited_does_not_get_it_done(lab: Site) -> None:
    here = door(TWO.authority.policy)
    ear, task = await begun(lab, door=here)
    here.authority = door(Policy(admin=(BOB,), two_persons=("lab restart",))).authority
    assert (await approved(lab, BOB, door=here)).startswith("done")
    await task
    assert (ear.last.state, lab.log) == ("refused", [])


async def test_a_second_person_who_lost_the_right_may_not_say_yes(lab: Site) -> None:
    here = door(TWO.authority.policy)
    _, task = await begun(lab, door=here)
    here.authority = door(Policy(admin=(ALICE,), observer=(BOB,), two_persons=("lab restart",))).authority
    assert "needs role" in await approved(lab, BOB, door=here)
    task.cancel()


async def test_a_repeat_hears_how_it_ended_and_does_not_wait_again(lab: Site) -> None:
    _, task = await begun(lab)
    await approved(lab, BOB)
    await task
    ear = await lab.ask("restart httpd", ident=ID, door=TWO)
    assert (ear.last.state, lab.log) == ("done", ["restart httpd"])


async def test_where_it_must_be_signed_the_second_signs_too_with_a_key_of_his_own(lab: Site) -> None:
    policy = Policy(owner=(ALICE, BOB), two_persons=("lab wipe",), confirm=(), rate=0)
    here = signed_door(policy)
    first, second = key_of("alice").public.fingerprint, key_of("bob").public.fingerprint
    ear, task = lab.begin("wipe xyzzy", door=here, ident=ID, key=first)
    await ear.wait(f"progress waits 10 min for a second person, who says: approve {WORD}")
    assert "needs a signature" in await approved(lab, BOB, door=here)
    assert "same key" in await approved(lab, BOB, door=here, key=first)
    assert (await approved(lab, BOB, door=here, key=second)).startswith("done")
    await task
    assert ear.last.state == "done"


async def test_only_so_many_wait_at_once(lab: Site) -> None:
    waiting = [lab.begin("restart httpd", door=TWO) for _ in range(40)]
    await waiting[-1][0].wait("refused")
    for _, task in waiting:
        task.cancel()
    await asyncio.wait([task for _, task in waiting])
    assert lab.log == []


async def test_one_person_does_not_take_all_places_of_those_who_wait(lab: Site) -> None:
    waiting = [lab.begin("restart httpd", door=TWO) for _ in range(40)]
    await waiting[-1][0].wait("refused")
    ear, task = lab.begin("restart httpd", door=TWO, by=BOB, ident=ID)
    await ear.wait(f"progress waits 10 min for a second person, who says: approve {WORD}")
    for one in (*(task for _, task in waiting), task):
        one.cancel()
        await asyncio.wait([one])


async def _pass(clock: FakeClock, seconds: int) -> None:
    for _ in range(10):
        await asyncio.sleep(0)
    clock.advance(seconds)
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.mark.parametrize("signed", [True, False])
async def test_a_key_that_was_revoked_or_is_wanted_by_now_counts_at_the_yes(lab: Site, signed: bool) -> None:
    policy = Policy(owner=(ALICE, BOB), two_persons=("lab restart",), signed=(Effect.change,), confirm=(), rate=0)
    before = policy if signed else replace(policy, signed=())
    here = signed_door(before)
    first, second = key_of("alice").public.fingerprint, key_of("bob").public.fingerprint
    ear, task = await begun(lab, door=here, key=first if signed else "")
    here.authority = signed_door(policy, bob=BOB).authority
    await approved(lab, BOB, door=here, key=second)
    await task
    assert (ear.last.state, lab.log) == ("refused", [])
    assert "sign it again" in ear.last.text


async def test_the_second_person_sees_what_waits_before_anything_is_done(lab: Site) -> None:
    _, task = await begun(lab)
    said = await look(lab, BOB)
    assert said.startswith(
        f"refused: {WORD} is not done yet: {ALICE} asks for `lab restart what=httpd`; to let just that"
    )
    assert lab.log == []
    assert (await look(lab, CAROL)).startswith("refused: this needs role")
    assert (await look(lab, BOB, said.rpartition(" ")[2].lower())).startswith("done")
    await task
    assert lab.log == ["restart httpd"]


async def test_a_yes_is_not_for_another_request_that_was_put_in_its_place(lab: Site) -> None:
    _, task = await begun(lab)
    yes = (await look(lab, BOB)).rpartition(" ")[2]
    lab.node.dispatch.cancel(("lab", ALICE, ID))
    await task
    same_word = next(one for one in (new_id(1.0) for _ in range(2**20)) if code(one) == WORD)
    for by, line, ident in ((ALICE, "httpd", same_word), (ALICE, "xrootd", ID[:-1] + "0"), (BOB, "httpd", ID)):
        ear, task = lab.begin(f"restart {line}", door=TWO, ident=ident, by=by)
        await ear.wait(f"progress waits 10 min for a second person, who says: approve {code(ident)}")
        assert "nothing waits here" in await look(lab, ALICE if by == BOB else BOB, yes)
        task.cancel()
        await asyncio.wait([task])
    assert lab.log == []


async def test_what_was_taken_back_does_not_wait_again_when_it_is_sent_again(lab: Site) -> None:
    _, task = await begun(lab)
    lab.node.dispatch.cancel(("lab", ALICE, ID))
    await task
    async with asyncio.timeout(5):
        ear = await lab.ask("restart httpd", ident=ID, door=TWO)  # by a server that kept it, signed as it is
    assert ear.heard == ["cancelled"]
    assert lab.log == []
