"""One typed line under way, with time that is turned by hand: what is said, when, and how often."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

import pytest

from admin_console.hub.fleet import HubFleet
from admin_console.hub.gathering import Gathering
from admin_console.hub.line import Typed, TypedLine
from amon.access import Signers
from amon.ids import code, digest, typed_id
from amon.runtime.fleet import Site
from amon.runtime.mailbox import Mailbox
from amon.runtime.spoken import Reach
from amon.testing import FakeClock
from amon.wire import Accepted, Ended, Gathered, NeedsWord, Payload, Proof, body_of, decode, encode, seal
from amon.xmpp.connection import Connection
from amon.xmpp.events import Received

AGENTS, HUB, ALICE = "agents.example.org", "hub@example.org", "alice@example.org"
ROOM, PHONE = "ops@rooms.example.org", "alice@example.org/phone"
IDENT = typed_id(ALICE, ROOM, "m1")


@dataclass
class Wire:
    """What the hub says to sites, and to people."""

    account: str = HUB
    told: list[tuple[str, Gathered]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    corrected: list[tuple[str, str]] = field(default_factory=list)
    online: bool = True

    def send_payload(self, to: str, payload: str, *, id: str, body: str | None = None) -> bool:  # noqa: A002
        word = decode(payload)
        assert isinstance(word, Gathered)
        self.told.append((to.partition("@")[0], word))
        return True

    def say(self, to: str, text: str, *, id: str = "", replaces: str = "") -> bool:  # noqa: A002
        assert to == PHONE
        if replaces:
            self.corrected.append((replaces, text))
        else:
            self.said.append(text)
        return self.online


class Scene:
    """A hub with so many sites, and a line that Alice typed for all of them."""

    def __init__(self, *names: str, reach: Reach = Reach.everyone, offline: tuple[str, ...] = ()) -> None:
        self.clock, self.wire = FakeClock(), Wire()
        self.fleet = HubFleet(ROOM, self.clock, {}, Signers())
        self.fleet.connection = cast(Connection, self.wire)
        for name in (*names, *offline):
            self.fleet.sites[name] = Site(name, f"{name}@{AGENTS}", online=name in names)
            self.fleet._by_jid[f"{name}@{AGENTS}"] = name
        typed = Typed(IDENT, ALICE, PHONE, ROOM, "look", reach, digest(IDENT, "look"))
        self.line = TypedLine(typed, (*names, *offline), names, self.clock.monotonic())
        self.gathering = Gathering(self.line, self.fleet, self.wire, self._say, self.clock, "!")

    def _say(self, asker: str, to: str, text: str) -> bool:
        assert asker == ALICE
        return self.wire.say(to, text)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Mailbox]:
        with self.fleet.mail(IDENT) as letters:
            task = asyncio.create_task(self.gathering.run(letters))
            await settle()
            try:
                yield letters
            finally:
                task.cancel()
                await asyncio.wait([task])

    def hear(self, name: str, payload: Payload | str, domain: str = AGENTS) -> None:
        text = payload if isinstance(payload, str) else encode(payload)
        self.fleet.received(Received(f"{name}@{domain}", f"{name}@{domain}/agent", "", payload=text, id=f"{IDENT}-x"))

    async def pass_(self, seconds: float) -> None:
        for _ in range(round(seconds * 2)):
            self.clock.advance(0.5)
            await settle()


async def settle() -> None:
    for _ in range(30):
        await asyncio.sleep(0)


def done(text: str = "fine") -> Ended:
    return Ended(IDENT, "done", text)


async def test_one_summary_and_each_site_hears_that_its_part_was_told() -> None:
    scene = Scene("cern", "desy", offline=("gone",))
    async with scene.running():
        scene.hear("cern", done())
        scene.hear("desy", Ended(IDENT, "failed", "no disk\nno more"))
        await settle()
        (text,) = scene.wire.said
    assert text.split("\n") == [
        f"look {IDENT[-4:]}: 1 of 3 done, 1 failed, 1 not-here",
        "desy: failed: no disk",
        "gone: not-here: was offline",
        "cern: fine",
    ]
    assert sorted(scene.wire.told, key=lambda told: told[0]) == [
        ("cern", Gathered(IDENT, "done")),
        ("desy", Gathered(IDENT, "failed")),
    ]


async def test_after_three_seconds_it_says_how_many_and_corrects_that_ever_more_rarely() -> None:
    scene = Scene(*(f"s{n}" for n in range(10)))
    async with scene.running():
        for number in range(10):
            scene.hear(f"s{number}", Accepted(IDENT))
        scene.hear("s0", done())
        await scene.pass_(2.5)
        assert scene.wire.said == []
        await scene.pass_(1)
        assert scene.wire.said == [f"look {IDENT[-4:]}: 1 of 10 answered"]
        for number in range(1, 9):
            scene.hear(f"s{number}", done())
            await scene.pass_(3)
        assert [text.partition(": ")[2] for _, text in scene.wire.corrected] == [
            "2 of 10 answered",
            "4 of 10 answered",
            "8 of 10 answered",
        ]
        assert len({ident for ident, _ in scene.wire.corrected}) == 1
        scene.hear("s9", done())
        await settle()
        assert scene.wire.said[1:] == [f"look {IDENT[-4:]}: all 10 done\n10 sites (s0, s1, s2, +7 more): fine"]


async def test_who_says_nothing_is_silent_or_lost_and_the_book_closes_in_time() -> None:
    scene = Scene("mute", "dies", "cern")
    async with scene.running():
        scene.hear("cern", done())
        scene.hear("dies", Accepted(IDENT))
        await scene.pass_(33)
        text = scene.wire.said[-1]
    assert "1 of 3 done, 1 silent, 1 lost" in text
    assert "dies: lost: accepted, then nothing in 30 s" in text
    assert "mute: silent: did not accept in 5 s; it may still do it" in text


async def test_a_late_end_is_told_as_a_late_one_and_then_the_site_hears_it() -> None:
    scene = Scene("slow", "slower")
    async with scene.running():
        await scene.pass_(6)
        assert "all 2 silent" in scene.wire.said[-1]
        scene.hear("slow", done("at last"))
        await scene.pass_(1)
        scene.hear("slower", done("at last"))
        assert scene.wire.told == []
        await scene.pass_(4)
    assert scene.wire.said[-1] == f"look {IDENT[-4:]}, later: slow, slower: at last"
    assert {name for name, _ in scene.wire.told} == {"slow", "slower"}


async def test_one_question_for_all_plans_and_nothing_is_done_without_a_yes() -> None:
    scene = Scene("cern", "desy", "ral")
    async with scene.running():
        for name in ("cern", "desy"):
            scene.hear(name, NeedsWord(IDENT, "change", "would restart\nhttpd"))
        scene.hear("ral", Ended(IDENT, "refused", "ask bob"))
        await settle()
        (question,) = scene.wire.said
        assert question.split("\n") == [
            f"look {IDENT[-4:]} would change 2 of 3 sites: within 50 s say !yes {code(IDENT)} in the room",
            "ral: refused: ask bob",
            "cern, desy: would restart; httpd",
        ]
        assert ("ral", Gathered(IDENT, "refused")) in scene.wire.told
        assert ("cern", Gathered(IDENT, "needs-word")) in scene.wire.told
        before = scene.gathering.waits_for_yes
        await scene.pass_(53)
        assert (before, scene.gathering.waits_for_yes) == (True, False)
    assert "2 not-started" in scene.wire.said[-1]
    assert "cern, desy: not-started: nobody said yes; nothing was done" in scene.wire.said[-1]


async def test_a_site_that_does_not_say_its_plan_does_not_hold_up_the_question() -> None:
    scene = Scene("cern", "mute")
    async with scene.running():
        scene.hear("cern", NeedsWord(IDENT, "change", "would restart"))
        await scene.pass_(5.5)
        assert "would change 1 of 2 sites" in scene.wire.said[-1]
        scene.gathering.confirm()
        await settle()
        scene.hear("cern", done("restarted"))
        await settle()
    assert "1 of 2 done, 1 silent" in scene.wire.said[-1]


async def test_a_change_without_a_target_is_one_line() -> None:
    scene = Scene("cern", "desy", reach=Reach.unsaid)
    async with scene.running():
        for name in ("cern", "desy"):
            scene.hear(name, NeedsWord(IDENT, "change", "would restart"))
        await settle()
    how = "would change 2 sites: say which, @cern, @tag:NAME=VALUE or @all; nothing was done"
    assert scene.wire.said == [f"look {IDENT[-4:]} {how}"]


async def test_sites_are_not_told_that_it_was_said_while_nothing_can_be_said() -> None:
    scene = Scene("cern")
    scene.wire.online = False
    async with scene.running():
        scene.hear("cern", done())
        await settle()
    assert scene.wire.told == []


# Who lies


async def test_strangers_people_and_answers_for_others_are_nobody_here() -> None:
    scene = Scene("cern", "desy")
    async with scene.running():
        scene.hear("cern", done("a lie"), domain="example.org")
        scene.hear("ghost", done("a lie"))
        scene.fleet.received(Received(None, "x", "", payload=encode(done("a lie")), id=IDENT))
        scene.fleet.received(Received(f"cern@{AGENTS}", "x", "", payload=encode(done("a lie")), room=ROOM, id=IDENT))
        scene.fleet.received(Received(f"cern@{AGENTS}", "x", "", payload="{", id=IDENT))
        await settle()
        assert scene.wire.said == []
        scene.hear("cern", done())
        scene.hear("desy", done())
        await settle()
    assert scene.wire.said == [f"look {IDENT[-4:]}: all 2 done\ncern, desy: fine"]


async def test_a_site_speaks_for_itself_only_and_its_first_word_stays() -> None:
    scene = Scene("cern", "desy")
    async with scene.running():
        scene.hear("cern", done())
        scene.hear("cern", Ended(IDENT, "failed", "no, it failed"))
        scene.hear("desy", done())
        await settle()
    assert "all 2 done" in scene.wire.said[0]


async def test_a_site_that_was_not_meant_is_told_of_besides() -> None:
    scene = Scene("cern")
    scene.fleet.sites["ral"] = Site("ral", f"ral@{AGENTS}", online=True)
    scene.fleet._by_jid[f"ral@{AGENTS}"] = "ral"
    async with scene.running():
        scene.hear("ral", done("me, too"))
        scene.hear("cern", done())
        await settle()
    assert scene.wire.said[0].split("\n")[-1] == "besides, ral: me, too"
    assert ("ral", Gathered(IDENT, "done")) in scene.wire.told


async def test_what_sites_say_is_shown_and_never_obeyed_or_endless() -> None:
    scene = Scene("cern", "desy")
    async with scene.running():
        scene.hear("cern", Ended(IDENT, "failed", "\x1b[2J\u202e" + "x" * 60_000))
        scene.hear("desy", Ended(IDENT, "no such state", "odd"))
        await settle()
        (text,) = scene.wire.said
    assert all(line.isprintable() for line in text.split("\n"))
    assert len(text) < 1000
    assert "desy: failed: unknown state" in text


async def test_a_site_that_floods_costs_its_own_letters_only() -> None:
    scene = Scene("cern", "flood")
    async with scene.running() as letters:
        for number in range(5000):
            scene.hear("flood", Accepted(IDENT) if number % 2 else Ended(IDENT, "running", "x" * 1000))
        assert letters.qsize() <= 16
        scene.hear("cern", done())
        await scene.pass_(33)
    assert "cern: fine" in scene.wire.said[-1]


@pytest.mark.parametrize(("asked", "proven"), [(digest(IDENT, "look"), True), (digest(IDENT, "wipe"), False)])
async def test_a_signed_answer_counts_only_for_the_line_that_was_typed(asked: str, proven: bool) -> None:
    from amon.access import RESULT, read_signers
    from tests.runtime.hands import key_of

    scene = Scene("cern")
    scene.fleet.keys, _ = read_signers(f"cern@{AGENTS} {key_of('cern').public.line}", "site_keys")
    body = body_of(Proof(f"cern@{AGENTS}", HUB, scene.clock.time(), done("proven"), asked))
    async with scene.running():
        scene.hear("cern", seal(body, key_of("cern").sign(body.encode(), RESULT)))
        await scene.pass_(6)
    assert ("cern: proven" in scene.wire.said[-1]) is proven
    assert ("not believed" in scene.wire.said[-1]) is not proven


# Answers before their line, and answers to none


async def test_an_answer_that_overtakes_its_line_is_kept_a_moment() -> None:
    scene = Scene("cern")
    scene.hear("cern", done())
    assert scene.wire.told == []
    async with scene.running():
        scene.fleet.deliver_early(IDENT)
        await settle()
    assert "cern: fine" in scene.wire.said[0] or scene.wire.said == [f"look {IDENT[-4:]}: done\ncern: fine"]


async def test_an_answer_to_a_line_that_nobody_typed_is_given_back_to_its_site() -> None:
    scene = Scene("cern")
    scene.hear("cern", done())
    scene.fleet.decline_late()
    assert scene.wire.told == []
    scene.clock.advance(2)
    scene.fleet.decline_late()
    assert scene.wire.told == [("cern", Gathered(IDENT, told=False))]
    scene.fleet.decline_late()
    assert len(scene.wire.told) == 1


async def test_answers_to_lines_that_nobody_typed_fill_nothing() -> None:
    names = [f"s{number}" for number in range(200)]
    scene = Scene(*names)
    for number in range(20_000):
        ident, name = typed_id(ALICE, ROOM, f"x{number}"), f"{names[number % 200]}@{AGENTS}"
        text = encode(Ended(ident, "done", "x" * 5000))
        scene.fleet.received(Received(name, f"{name}/agent", "", payload=text, id=ident))
    assert len(scene.fleet._early) <= 2000
    assert scene.fleet._early_size <= 8 * 1024 * 1024
