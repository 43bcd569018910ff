"""What people read in answer: questions before changes, verdicts, pages, patience, and how to end what one asked."""

import asyncio

from amon.access import Policy
from amon.runtime.spoken import Reach, Spoken
from amon.testing import FakeClock
from amon.wire import Ended
from tests.runtime.scene import ALICE, BOB, EVE, Row, Said, door, gate
from tests.runtime.talk import DESK, ROOM, Talk

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


async def test_a_yes_to_another_word_is_told_by_the_sites_that_wait_for_one_like_it(talk: Talk) -> None:
    await talk.room("!restart httpd @all")
    word = await talk.word()
    slip = word[:2] + ("A" if word[2] != "A" else "B")
    meant = f"nothing was done, did you mean !yes {word}?"
    assert await talk.room(f"!yes {slip}") == [(DESK, f"cern: there is nothing to say yes {slip} to; {meant}")]
    assert await talk.room("!yes") == [(DESK, f"cern: there is nothing to say yes to; {meant}")]
    assert await talk.alone(f"yes {slip}") == [
        f"there is nothing to say yes {slip} to; nothing was done, did you mean yes {word}?"
    ]
    assert await talk.room("!yes 0000000") == []  # another site's, for all this one knows
    assert await talk.room(f"!yes {slip}", by=BOB) == []
    other = talk.message(f"!yes {slip}", room="other@rooms.example.org", kind="groupchat")
    assert await talk.hear(other) == []
    assert talk.lab.log == ["plan httpd"]
    assert await talk.room(f"!yes {word}") == [(DESK, "cern: seen")]
    assert await talk.room(f"!yes {slip}") == []
    assert await talk.alone("yes") == ["there is nothing to say yes to; ask again"]


async def test_a_slip_after_the_minute_is_met_with_silence_in_the_room(talk: Talk) -> None:
    await talk.room("!restart httpd @all")
    talk.lab.clock.advance(61)
    assert await talk.room("!yes") == []


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
    talk.chat.door = door(Policy(observer=(ALICE,)))
    assert "needs role operator" in (await talk.room(f"!yes {word}"))[0][1]
    assert talk.lab.log == ["plan httpd"]


async def test_a_wrong_word_to_one_site_is_told_which_one_waits(talk: Talk) -> None:
    await talk.room("!restart httpd @all")
    word = await talk.word()
    wrong = "".join("X" if letter != "X" else "Z" for letter in word)
    said = f"there is nothing to say yes {wrong} to; nothing was done, did you mean yes {word}?"
    assert await talk.alone(f"yes {wrong}") == [said]
    assert await talk.room(f"!yes {wrong}") == []


async def test_questions_nobody_answers_do_not_pile_up(talk: Talk) -> None:
    for _ in range(300):
        await talk.room("!restart httpd @all")
    assert len(talk.chat._questions) == 8
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
    assert await talk.alone("more") == [f"```\n{TABLE}\n```"]


async def test_long_answers_come_in_pages_of_twenty_lines(talk: Talk) -> None:
    talk.lab.lab.body = lambda call: Said("\n".join(f"line {n}" for n in range(45)))
    (first,) = await talk.alone("look")
    assert first.startswith("lab look\n```\nline 0\n")
    assert first.endswith("line 18\n```\n(26 more lines: say more)")
    (second,) = await talk.alone("more")
    assert second.startswith("```\nline 19\n")
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
    assert (to, text.splitlines()[:2]) == (ROOM, ["```", "line 19"])
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
        call.progress(1, 4, "stopping")  # type: ignore[attr-defined]
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


def test_the_names_in_a_verdict_are_made_visible() -> None:
    said: list[str] = []

    def say(text: str, rest: str = "") -> None:
        said.append(text)

    spoken = Spoken("cern", "status", Reach.some, say, lambda *words: "", lambda: True, FakeClock())
    spoken.ended(Ended(f"{0:026}", "done", "one\ntwo", {"name": "\x1b[2J\u202e", "state": "up\n@all"}))
    assert said == ["cern: \ufffd[2J\ufffd up\ufffd@all\none\ntwo"]
