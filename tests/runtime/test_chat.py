"""Typed lines as people type them, in a room of many sites and one to one: who answers what, where, who is silent."""

import pytest

from amon.access import Authority, Policy
from amon.health import Health
from amon.xmpp.events import Received
from tests.runtime.hands import key_of, signers
from tests.runtime.scene import AGENTS, ALICE, BOB, EVE, POLICY, door
from tests.runtime.talk import DESK, ROOM, Talk

BY_KEY = f"key:{key_of('alice').public.fingerprint}"

# Addressing


@pytest.mark.parametrize(
    "line", ["cern: look", "cern, look", "CERN: look", "  cern:look", "cern: !look", "!look @cern"]
)
async def test_a_site_that_is_named_answers_in_the_room(talk: Talk, line: str) -> None:
    assert await talk.room(line) == [(ROOM, "seen")]


async def test_a_line_for_all_is_answered_to_the_asker_alone_with_the_sites_name(talk: Talk) -> None:
    assert await talk.room("!look") == [(DESK, "cern: seen")]


@pytest.mark.parametrize("line", ["look", "!look", " !look ", "look @cern", "@cern look", "!look @all"])
async def test_one_to_one_the_prefix_and_the_target_are_optional(talk: Talk, line: str) -> None:
    assert await talk.alone(line) == ["seen"]


@pytest.mark.parametrize(
    "line",
    [
        "look", "good morning", "cern", "cern is down again", "desy: look", "desy, look", "!", "!!!", "!nonsense",
        "!look @desy", "!look @desy*", "!look @not cern", "!look @(", "!look 'x", "!nonsense @all", "!yes ABC", "!more",
        "!cancel", "x" * 100_000, "!" + "x" * 100_000, "!loo\u202ek", "> cern: look",
    ],
)  # fmt: skip
async def test_a_room_hears_nothing_that_is_not_for_this_site_or_that_every_site_would_say(
    talk: Talk, line: str
) -> None:
    assert await talk.room(line) == []
    assert talk.lab.log == []


@pytest.mark.parametrize(
    ("target", "answers"),
    [
        ("@all", True),
        ("@cern,desy", True),
        ("@desy @cern", True),
        ("@c*", True),
        ("@c??n", True),
        ("@(c* and not cern)", False),
        ("@(all and not (desy or fnal))", True),
        ("@tag:tier=1", True),
        ("@tag:tier=2", False),
        ("@health:ok", True),
        ("@health:crit", False),
        ("@module:lab", True),
        ("@(module:lab and health:crit)", False),
    ],
)
async def test_targets_choose_who_answers(talk: Talk, target: str, answers: bool) -> None:
    for line in (f"!look {target}", f"!{target} look"):
        assert await talk.room(line) == ([(DESK, "cern: seen")] if answers else [])


async def test_targets_are_matched_against_health_as_it_is_now(talk: Talk) -> None:
    talk.lab.lab.now = Health.of({"httpd": Health.bad("is down")})
    assert await talk.room("!look @health:crit") == [(DESK, "cern: seen")]
    assert await talk.room("!look @health:ok") == []


async def test_one_to_one_a_target_that_is_another_site_is_answered_and_nothing_done(talk: Talk) -> None:
    assert await talk.alone("look @desy") == ["cern is not in desy; nothing was done"]
    assert talk.lab.log == []


@pytest.mark.parametrize("target", ["@job:7Q2K", "@@job:7Q2K", "@job:7Q2K:failed", "@(not job:7Q2K)"])
async def test_the_sites_of_a_job_are_known_to_the_console_that_asked_and_to_no_site(talk: Talk, target: str) -> None:
    (said,) = await talk.alone(f"look {target}")
    assert "only the console that asked knows its jobs; name the sites themselves" in said
    assert await talk.room(f"!look {target}") == []  # a hundred sites would say the same
    assert talk.lab.log == []


async def test_a_quoted_word_that_begins_with_an_at_is_no_target(talk: Talk) -> None:
    assert await talk.alone("look '@all'") == ["seen"]
    assert await talk.alone("look 'x@y'") == ["seen"]
    assert talk.lab.log == ["look @all", "look x@y"]


async def test_yes_more_and_cancel_may_begin_with_the_capital_that_phones_write(talk: Talk) -> None:
    assert await talk.alone("More") == ["there is no more; ask again"]
    assert await talk.alone("Cancel") == ["nothing of yours is under way here"]
    assert await talk.alone("Yes abc") == ["there is nothing to say yes ABC to; ask again"]


# Mistakes


async def test_the_site_that_is_named_points_at_the_word_it_does_not_know(talk: Talk) -> None:
    ((to, text),) = await talk.room("cern: looc")
    assert to == ROOM
    assert text.startswith("invalid: there is no 'looc' here; did you mean look")
    assert (await talk.room("cern: look 'x"))[0][0] == ROOM


async def test_one_to_one_every_mistake_is_answered(talk: Talk) -> None:
    assert "never closed" in (await talk.alone("look @("))[0]
    assert "did you mean look" in (await talk.alone("looc"))[0]
    assert "100000 characters long" in (await talk.alone("x" * 100_000))[0]
    assert "invisible" in (await talk.alone("look a\u202eb"))[0]


async def test_two_programs_that_answer_each_others_mistakes_fall_silent(talk: Talk) -> None:
    talk.chat = talk.front(mistakes=3)
    assert [len(await talk.alone("I do not understand")) for _ in range(5)] == [1, 1, 1, 0, 0]
    assert await talk.alone("look") == ["seen"]
    talk.lab.clock.advance(601)
    assert len(await talk.alone("I do not understand")) == 1


async def test_a_role_that_is_too_low_is_told_where_one_was_addressed(talk: Talk) -> None:
    refusal = f"refused: this needs role operator; {BOB} is observer here; ask an admin of this site: {ALICE}"
    assert await talk.alone("restart httpd", by=BOB) == [refusal]
    assert await talk.room("cern: restart httpd", by=BOB) == [(ROOM, refusal)]
    assert await talk.room("!restart httpd @all", by=BOB) == [(f"{BOB}/desk", f"cern: {refusal}")]
    assert await talk.room("!restart httpd", by=BOB) == []


# Who is not listened to


async def test_what_came_late_or_was_edited_is_not_done(talk: Talk) -> None:
    assert await talk.alone("look", delayed=True) == [
        "this came late and was not done; send it again if you still want it"
    ]
    assert await talk.alone("look", edited=True) == ["an edited line is not done; send it as a new one"]
    assert await talk.room("!look", delayed=True) == []
    assert await talk.room("cern: look", delayed=True) == []
    assert await talk.room("!look", edited=True) == []
    assert await talk.room("cern: look", edited=True) == [(ROOM, "an edited line is not done; send it as a new one")]
    assert talk.lab.log == []


async def test_private_messages_of_a_room_are_answered_and_not_done(talk: Talk) -> None:
    said = await talk.hear(talk.message("look", room=ROOM, private_in_room=True))
    assert said == [(DESK, "I answer in the room or to my own address, not to private messages of a room")]
    assert talk.lab.log == []


async def test_a_room_that_hides_addresses_gives_no_orders(talk: Talk) -> None:
    for private in (True, False):
        message = Received(None, f"{ROOM}/alice", "!look @cern", room=ROOM, private_in_room=private)
        assert await talk.hear(message) == []
    assert talk.lab.log == []


async def test_agents_hear_silence_even_where_the_policy_would_let_them(talk: Talk) -> None:
    agent = f"desy@{AGENTS}"
    talk.chat = talk.front(door(Policy(owner=(agent,)), agents=AGENTS.upper()))
    assert await talk.alone("look", by=agent) == []
    assert await talk.room("cern: look", by=agent) == []
    assert talk.lab.log == []


async def test_a_stranger_is_told_once_an_hour_and_every_try_is_audited(talk: Talk) -> None:
    told = [f"cern: {EVE} has no role here; ask the owner of this site"]
    assert [await talk.alone("look", by=EVE) for _ in range(3)] == [told, [], []]
    assert await talk.room("cern: look", by=EVE) == []
    talk.lab.clock.advance(3600)
    assert await talk.room("cern: yes ABC", by=EVE) == [(f"{EVE}/desk", told[0])]
    assert await talk.alone("look", by=EVE, delayed=True) == []
    assert len(await talk.lab.audit()) == 5
    assert talk.lab.log == []


@pytest.mark.parametrize(
    ("authority", "why"),
    [
        (Authority(POLICY, AGENTS, closed="the policy bundle cannot be read"), "the policy bundle cannot be read"),
        (Authority(Policy(owner=(BY_KEY,)), AGENTS, signers(alice=ALICE)), "only with a signature; sign it: "),
    ],
)
async def test_whoever_is_no_stranger_is_told_why_he_may_nothing(talk: Talk, authority: Authority, why: str) -> None:
    here = door()
    here.authority = authority
    talk.chat = talk.front(here)
    (said,) = await talk.alone("look")
    assert why in said
    assert "no role" not in said


async def test_a_stranger_is_not_told_of_mistakes(talk: Talk) -> None:
    assert await talk.room("cern: look a\u202eb", by=EVE) == []
    assert len(await talk.room("cern: look a\u202eb")) == 1


async def test_a_stranger_in_a_crowd_hears_nothing(talk: Talk) -> None:
    for line in ("!look", "!more", "!yes ABC", "!cancel", "!restart httpd @all", "!look @c*"):
        assert await talk.room(line, by=EVE) == []
    assert len(await talk.lab.audit()) == 6


async def test_ten_thousand_strangers_are_not_remembered_for_ever(talk: Talk) -> None:
    answered = 0
    for n in range(3000):
        answered += len(await talk.alone("look", by=f"eve{n}@example.org"))
    assert answered == 1000
    talk.lab.clock.advance(3600)
    assert len(await talk.alone("look", by="new@example.org")) == 1
    assert len(talk.chat._notices) == 1
