"""A person in a plain client: the code that a change needs, and the line that he signs and pastes back."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from amon.access import COMMAND, Policy
from amon.ids import code, typed_id
from amon.testing import FakeClock
from amon.wire import read_challenge
from tests.runtime.hands import key_of, signed_door
from tests.runtime.scene import AGENTS, ALICE, BOB, door, site
from tests.runtime.talk import Talk

REFUSED = "the signature was not accepted here; why stands in the log of this site"


@pytest.fixture
async def talk(tmp_path: Path) -> AsyncIterator[Talk]:
    async with site(tmp_path, clock=FakeClock(1_000_000)) as lab:
        talk = Talk(lab)
        talk.chat = talk.front(signed_door(Policy(owner=(ALICE, BOB), rate=0)))
        yield talk


def challenge_in(said: str) -> str:
    """The line of it that one copies."""
    (line,) = [line for line in said.splitlines() if line.startswith("amon1 ")]
    return line


def answer(said: str, name: str = "alice") -> str:
    """What `amon sign` prints for the challenge."""
    return f"ok {key_of(name).sign(challenge_in(said).encode(), COMMAND)}"


async def test_a_change_that_was_typed_needs_its_code_also_at_one_site(talk: Talk) -> None:
    (said,) = await talk.alone("restart httpd")
    word = code(typed_id(ALICE, None, "m1"))
    assert "would restart httpd" in said
    assert f"change: within 60 s say yes {word}" in said
    assert talk.lab.log == ["plan httpd"]
    assert await talk.alone(f"yes {word}") == ["done"]
    assert talk.lab.log == ["plan httpd", "restart httpd"]


async def test_an_old_line_that_a_client_sends_again_as_a_new_one_does_nothing(talk: Talk) -> None:
    await talk.alone("restart httpd")
    old = f"yes {code(typed_id(ALICE, None, 'm1'))}"
    await talk.alone(old)
    talk.lab.log.clear()
    await talk.alone("restart httpd")  # the client of somebody who was away for days
    (said,) = await talk.alone(old)
    assert f"there is nothing to say {old} to; nothing was done" in said
    assert talk.lab.log == ["plan httpd"]


async def test_the_owner_of_a_site_may_want_no_codes(talk: Talk) -> None:
    talk.chat = talk.front(door(Policy(admin=(ALICE,), confirm=(), rate=0)))
    assert await talk.alone("restart httpd") == ["done"]


async def test_a_challenge_is_signed_pasted_and_done_once(talk: Talk) -> None:
    (said,) = await talk.alone("wipe xyzzy")
    challenge = read_challenge(challenge_in(said))
    assert (challenge.site, challenge.by, challenge.line) == (f"cern@{AGENTS}", ALICE, "wipe xyzzy")
    assert challenge.expires - challenge.issued == 300
    pasted = answer(said)
    assert await talk.alone(pasted) == ["wiped"]
    assert await talk.alone(pasted) == [REFUSED]
    (done,) = [one for one in await talk.lab.journal.recent(20) if one.outcome == "done"]
    assert done.key == key_of("alice").public.fingerprint


async def test_in_the_room_a_challenge_is_for_a_site_that_is_named(talk: Talk) -> None:
    ((to, said),) = await talk.room("cern: wipe xyzzy")
    assert to == "ops@rooms.example.org"
    assert await talk.room(f"cern: {answer(said)}") == [(to, "wiped")]


async def test_several_sites_are_not_asked_to_challenge(talk: Talk) -> None:
    ((_, said),) = await talk.room("!wipe xyzzy @all")
    assert "ask me alone" in said
    assert "amon1 " not in said


@pytest.mark.parametrize("name", ["bob", "eve"])
async def test_the_signature_of_another_key_is_refused(talk: Talk, name: str) -> None:
    (said,) = await talk.alone("wipe xyzzy")
    assert await talk.alone(answer(said, name)) == [REFUSED]
    assert await talk.alone(answer(said)) == ["wiped"]  # the challenge still stands


async def test_another_person_cannot_use_it(talk: Talk) -> None:
    (said,) = await talk.alone("wipe xyzzy")
    assert await talk.alone(answer(said), BOB) == [REFUSED]
    assert await talk.alone(answer(said, "bob"), BOB) == [REFUSED]


async def test_a_changed_challenge_is_not_the_one_that_was_asked(talk: Talk) -> None:
    (said,) = await talk.alone("wipe xyzzy")
    challenge = replace(read_challenge(challenge_in(said)), line="wipe plugh")
    assert await talk.alone(answer(str(challenge))) == [REFUSED]


async def test_a_challenge_ends(talk: Talk) -> None:
    (said,) = await talk.alone("wipe xyzzy")
    talk.lab.clock.advance(301)
    assert await talk.alone(answer(said)) == [REFUSED]


async def test_who_lost_the_right_since_the_challenge_gets_nothing_done(talk: Talk) -> None:
    (said,) = await talk.alone("wipe xyzzy")
    talk.chat.door.authority = signed_door(Policy(observer=(ALICE,))).authority
    (told,) = await talk.alone(answer(said))
    assert told.startswith("refused: ")
    assert "would" not in told


async def test_an_answer_that_nothing_waits_for_is_refused(talk: Talk) -> None:
    assert await talk.alone("ok bm8=") == [REFUSED]


@pytest.mark.parametrize("token", ["'a\tb'", "'a```b'", " " * 2_000 + "x"])
async def test_a_line_that_cannot_be_copied_whole_is_no_challenge(talk: Talk, token: str) -> None:
    (said,) = await talk.alone(f"wipe {token}")
    assert "amon1 " not in said
    assert "amon run --sign" in said


async def test_one_person_keeps_only_a_few_questions_open(talk: Talk) -> None:
    (first,) = await talk.alone("wipe xyzzy")
    (of_bob,) = await talk.alone("wipe xyzzy", BOB)
    for _ in range(8):
        (last,) = await talk.alone("wipe xyzzy")
    assert await talk.alone(answer(first)) == [REFUSED]
    assert await talk.alone(answer(last)) == ["wiped"]
    assert await talk.alone(answer(of_bob, "bob"), BOB) == ["wiped"]
