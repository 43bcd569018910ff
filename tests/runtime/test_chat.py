"""Typed lines as people type them, in a room of many sites and one to one: who answers what, where, who is silent."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from amon.access import Policy
from amon.health import Health
from amon.ids import code, typed_id
from amon.runtime.chat import Chat
from amon.runtime.incoming import Door
from amon.target import Facts
from amon.xmpp.events import Received
from tests.runtime.scene import AGENTS, ALICE, BOB, DOOR, EVE, Row, Said, Site, gate, site

ROOM = "ops@rooms.example.org"
DESK = f"{ALICE}/desk"


class Voice:
    """Remembers what was said, to whom, and whether it still seems to type."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []
        self.typing: set[str] = set()
        self.changed = asyncio.Event()

    def say(self, to: str, text: str) -> bool:
        self.said.append((to, text))
        self.typing.discard(to)
        self.changed.set()
        return True

    def say_room(self, room: str, text: str) -> bool:
        return self.say(room, text)

    def composing(self, to: str, on: bool) -> bool:
        (self.typing.add if on else self.typing.discard)(to)
        return True


class Talk:
    """People who type, and one site called cern that listens."""

    def __init__(self, lab: Site) -> None:
        self.lab = lab
        self.voice = Voice()
        self.count = 0
        self.name = "cern"
        self.chat = self.front()

    def front(self, door: Door = DOOR, mistakes: int = 100) -> Chat:
        return Chat("cern", door, self.lab.node.dispatch, self.voice, self.lab.clock, self.facts, mistakes=mistakes)

    def facts(self) -> Facts:
        picture = self.lab.node.picture()
        parts = {trouble.name: trouble.state for trouble in picture.troubles}
        return Facts(self.name, {"tier": "1"}, picture.level.word, parts, frozenset({"lab"}))

    async def room(self, text: str, by: str = ALICE, **more: object) -> list[tuple[str, str]]:
        """Say it in the room; who was told what because of it."""
        return await self.hear(self.message(text, by, room=ROOM, kind="groupchat", **more))

    async def alone(self, text: str, by: str = ALICE, **more: object) -> list[str]:
        """Say it one to one; what was said back."""
        said = await self.hear(self.message(text, by, **more))
        assert {to for to, _ in said} <= {f"{by}/desk"}
        return [text for _, text in said]

    def message(self, text: str, by: str = ALICE, **more: object) -> Received:
        self.count += 1
        fields = {"id": f"m{self.count}", **more}
        return Received(by, f"{by}/desk", text, **fields)  # type: ignore[arg-type]

    async def hear(self, message: Received) -> list[tuple[str, str]]:
        self.voice.said.clear()
        await self.chat.received(message)
        return list(self.voice.said)

    async def word(self) -> str:
        """The word that confirms the last line said in the room."""
        return code(typed_id(ALICE, ROOM, f"m{self.count}"))


@pytest.fixture
async def talk(tmp_path: Path) -> AsyncIterator[Talk]:
    async with site(tmp_path) as lab:
        lab.lab.body = lambda call: Said("seen")
        yield Talk(lab)


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
    refusal = f"refused: this needs role operator; {BOB} is observer here"
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
    talk.chat = talk.front(Door("lab", Policy(owner=(agent,)), AGENTS.upper()))
    assert await talk.alone("look", by=agent) == []
    assert await talk.room("cern: look", by=agent) == []
    assert talk.lab.log == []


async def test_a_stranger_is_told_once_an_hour_and_every_try_is_audited(talk: Talk) -> None:
    told = [f"{EVE} has no role at cern; ask its owner for one"]
    assert [await talk.alone("look", by=EVE) for _ in range(3)] == [told, [], []]
    assert await talk.room("cern: look", by=EVE) == []
    talk.lab.clock.advance(3600)
    assert await talk.room("cern: yes ABC", by=EVE) == [(f"{EVE}/desk", told[0])]
    assert await talk.alone("look", by=EVE, delayed=True) == []
    assert len(await talk.lab.audit()) == 5
    assert talk.lab.log == []


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


# Changes


async def test_a_change_for_all_must_be_typed_as_such(talk: Talk) -> None:
    asked = [(DESK, "this would change cern: say which sites, @cern or @all")]
    assert await talk.room("!restart httpd") == asked
    assert await talk.room("!yes " + await talk.word()) == []
    assert talk.lab.log == ["plan httpd"]


async def test_a_change_at_one_named_site_is_done_at_once(talk: Talk) -> None:
    assert await talk.room("cern: restart httpd") == [(ROOM, "seen")]
    assert await talk.room("!restart httpd @cern") == [(ROOM, "seen")]
    assert await talk.alone("restart httpd") == ["seen"]
    assert talk.lab.log == ["restart httpd"] * 3


async def test_a_change_at_several_sites_asks_and_is_done_after_yes_in_the_room(talk: Talk) -> None:
    asked = await talk.room("!restart httpd @c*")
    word = await talk.word()
    question = (
        "cern: would restart httpd\n```\n"
        f"change on several sites: within 60 s say !yes {word} in the room for all of them, or here for me\n```"
    )
    assert asked == [(DESK, question)]
    assert talk.lab.log == ["plan httpd"]
    assert await talk.room(f"!yes {word.lower()}") == [(DESK, "cern: seen")]
    assert talk.lab.log == ["plan httpd", "restart httpd"]


async def test_yes_said_to_one_site_is_for_that_one(talk: Talk) -> None:
    await talk.room("!restart httpd @all")
    word = await talk.word()
    assert await talk.alone(f"yes {word}") == ["cern: seen"]
    assert talk.lab.log == ["plan httpd", "restart httpd"]


async def test_a_word_is_good_once(talk: Talk) -> None:
    await talk.room("!restart httpd @all")
    word = await talk.word()
    await talk.room(f"!yes {word}")
    assert await talk.room(f"!yes {word}") == []
    assert await talk.alone(f"yes {word}") == [f"there is nothing to say yes {word} to; ask again"]
    assert talk.lab.log.count("restart httpd") == 1


async def test_a_word_is_good_for_a_minute(talk: Talk) -> None:
    await talk.room("!restart httpd @all")
    word = await talk.word()
    talk.lab.clock.advance(61)
    assert await talk.room(f"!yes {word}") == [(DESK, f"yes {word} came after 60 s; nothing was done, ask again")]
    assert talk.lab.log == ["plan httpd"]


async def test_nobody_else_and_no_other_room_can_say_yes(talk: Talk) -> None:
    await talk.room("!restart httpd @all")
    word = await talk.word()
    assert await talk.room(f"!yes {word}", by=BOB) == []
    assert await talk.room(f"!yes {word}", by=EVE) == []
    other = talk.message(f"!yes {word}", room="other@rooms.example.org", kind="groupchat")
    assert await talk.hear(other) == []
    assert await talk.room(f"!yes {word}", delayed=True) == []
    assert talk.lab.log == ["plan httpd"]
    assert await talk.room(f"!yes {word}") == [(DESK, "cern: seen")]


async def test_a_role_that_was_taken_away_meanwhile_is_missing_at_the_yes(talk: Talk) -> None:
    await talk.room("!restart httpd @all")
    word = await talk.word()
    talk.chat.door = Door("lab", Policy(observer=(ALICE,)), AGENTS)
    assert "needs role operator" in (await talk.room(f"!yes {word}"))[0][1]
    assert talk.lab.log == ["plan httpd"]


async def test_questions_nobody_answers_do_not_pile_up(talk: Talk) -> None:
    for _ in range(300):
        await talk.room("!restart httpd @all")
    assert len(talk.chat._questions) == 200
    assert await talk.room(f"!yes {await talk.word()}") == [(DESK, "cern: seen")]


async def test_the_same_message_twice_is_done_once(talk: Talk) -> None:
    first = await talk.alone("restart httpd", id="again")
    assert await talk.alone("restart httpd", id="again") == first
    assert talk.lab.log == ["restart httpd"]
    assert "id of an earlier one" in (await talk.alone("restart other", id="again"))[0]


async def test_messages_without_an_id_are_not_taken_for_each_other(talk: Talk) -> None:
    await talk.alone("restart httpd", id=None)
    await talk.alone("restart httpd", id=None)
    assert talk.lab.log == ["restart httpd", "restart httpd"]


# How it is said

ROWS = [Row("httpd", "up"), Row("ntpd", "up"), Row("mysqld", "down")]
TABLE = "name    state\nhttpd   up\nntpd    up\nmysqld  down"


async def test_the_verdict_is_first_and_columns_are_fenced(talk: Talk) -> None:
    talk.lab.lab.body = lambda call: ROWS
    assert await talk.alone("look") == [f"2 up, 1 down\n```\n{TABLE}\n```"]
    assert await talk.room("!look @c*") == [(DESK, f"cern: 2 up, 1 down\n```\n{TABLE}\n```")]


async def test_the_verdict_of_one_thing_is_its_name_and_state(talk: Talk) -> None:
    talk.lab.lab.body = lambda call: ROWS[0]
    assert await talk.alone("look") == ["httpd up\n```\nname: httpd\nstate: up\n```"]
    assert await talk.room("!look") == [(DESK, "cern: httpd up\n(2 more lines: say more)")]


async def test_a_line_for_everyone_is_answered_in_one_line_and_more_tells_the_rest(talk: Talk) -> None:
    talk.lab.lab.body = lambda call: ROWS
    for line in ("!look", "!look @all"):
        assert await talk.room(line) == [(DESK, "cern: 2 up, 1 down\n(4 more lines: say more)")]
    assert await talk.alone("more") == [TABLE.replace("\n", "\n```\n", 1) + "\n```"]


async def test_long_answers_come_in_pages_of_twenty_lines(talk: Talk) -> None:
    talk.lab.lab.body = lambda call: Said("\n".join(f"line {n}" for n in range(45)))
    (first,) = await talk.alone("look")
    assert first.startswith("lab look\n```\nline 0\n")
    assert first.endswith("line 18\n```\n(26 more lines: say more)")
    (second,) = await talk.alone("more")
    assert second.startswith("line 19\n")
    assert second.endswith("(6 more lines: say more)")
    (third,) = await talk.alone("!more")
    assert third.endswith("line 44\n```")
    assert await talk.alone("more") == ["there is no more; ask again"]


async def test_more_continues_where_it_was_said(talk: Talk) -> None:
    talk.lab.lab.body = lambda call: Said("\n".join(f"line {n}" for n in range(45)))
    await talk.room("cern: look")
    assert await talk.alone("more") == ["there is no more; ask again"]
    assert await talk.alone("more", by=BOB) == ["there is no more; ask again"]
    ((to, text),) = await talk.room("cern: more")
    assert (to, text.splitlines()[0]) == (ROOM, "line 19")
    talk.lab.clock.advance(601)
    assert await talk.room("cern: more") == [(ROOM, "there is no more; ask again")]


async def test_a_fence_in_the_text_does_not_end_ours(talk: Talk) -> None:
    talk.lab.lab.body = lambda call: Said("a\n```\nb")
    assert await talk.alone("look") == ["lab look\n```\na\n'''\nb\n```"]


async def test_an_answer_without_words_is_said_too_and_typing_ends(talk: Talk) -> None:
    talk.lab.lab.body = lambda call: Said("")
    assert await talk.alone("look") == ["nothing"]
    assert talk.voice.typing == set()


async def test_after_three_seconds_and_not_before_one_is_told_that_it_is_being_done(talk: Talk) -> None:
    talk.lab.lab.body, go = gate(Said("seen"))
    talking = asyncio.create_task(talk.alone("restart httpd"))
    await talk.lab.clock.wait_sleepers(3)  # housekeeping, patience, deadline
    talk.lab.clock.advance(2.9)
    await asyncio.sleep(0)
    assert (talk.voice.said, talk.voice.typing) == ([], {DESK})
    talk.voice.changed.clear()
    talk.lab.clock.advance(0.1)
    await talk.voice.changed.wait()
    assert talk.voice.said == [(DESK, "working on it: lab restart")]
    go.set()
    assert await talking == ["working on it: lab restart", "seen"]


async def test_a_secret_that_was_typed_is_not_said_again(talk: Talk) -> None:
    async def body(call: object) -> Said:
        await asyncio.Event().wait()
        return Said("")

    talk.lab.lab.body = body
    talking = asyncio.create_task(talk.room("cern: unlock hunter2"))
    await talk.lab.clock.wait_sleepers(3)
    talk.lab.clock.advance(3)
    await talk.voice.changed.wait()
    await talk.chat.received(talk.message("cern: cancel", room=ROOM, kind="groupchat"))
    ((_, first), _) = await talking
    assert first == "working on it: lab unlock"
    assert "hunter2" not in str(talk.voice.said)


async def test_progress_is_what_one_is_told_while_waiting(talk: Talk) -> None:
    go = asyncio.Event()

    async def body(call: object) -> Said:
        call.progress("stopping", 0.25)  # type: ignore[attr-defined]
        await go.wait()
        return Said("seen")

    talk.lab.lab.body = body
    talking = asyncio.create_task(talk.alone("restart httpd"))
    await talk.lab.clock.wait_sleepers(3)
    talk.lab.clock.advance(3)
    await talk.voice.changed.wait()
    go.set()
    assert (await talking)[0] == "stopping (25%): lab restart"


async def test_a_hundred_sites_do_not_each_say_that_they_are_at_it(talk: Talk) -> None:
    talk.lab.lab.body, go = gate(Said("seen"))
    talking = asyncio.create_task(talk.room("!look"))
    await talk.lab.clock.wait_sleepers(3)
    talk.lab.clock.advance(3)
    await asyncio.sleep(0)
    go.set()
    assert await talking == [(DESK, "cern: seen")]


async def test_cancel_ends_what_oneself_asked_and_nothing_else(talk: Talk) -> None:
    talk.lab.lab.body, go = gate(Said("seen"))
    mine = asyncio.create_task(talk.chat.received(talk.message("restart httpd")))
    bobs = asyncio.create_task(talk.chat.received(talk.message("look", by=BOB)))
    await talk.lab.clock.wait_sleepers(5)
    await talk.chat.received(talk.message("!cancel", room=ROOM, kind="groupchat"))
    await mine
    assert talk.voice.said == [(DESK, "cancelled: cancelled while it ran; look what it left")]
    go.set()
    await bobs
    assert talk.voice.said[1:] == [(f"{BOB}/desk", "seen")]


async def test_help_is_filtered_by_ones_role(talk: Talk) -> None:
    (alices,), (bobs,) = await talk.alone("help"), await talk.alone("help", by=BOB)
    assert "lab: look restart unlock" in alices
    assert "restart" not in bobs
    assert "lab: look unlock" in bobs
    assert await talk.alone("help lab restart", by=BOB) == ["refused: lab restart needs role operator"]
    assert (await talk.alone("help lab restart"))[0].startswith("help\n```\nlab restart WHAT\nRestart")
    assert len((await talk.room("!help"))[0][1].splitlines()) == 2
