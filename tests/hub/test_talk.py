"""What the hub answers one to one: from presence and from what it has gathered, never by asking a site."""

import pytest

from admin_console.hub.line import Typed, TypedLine
from admin_console.hub.talk import Talk
from amon.ids import digest, typed_id
from amon.runtime.fleet import Site
from amon.runtime.mailbox import Letter
from amon.runtime.spoken import Reach
from amon.testing import FakeClock
from amon.wire import Ended, HealthReport

ALICE, BOB, ROOM = "alice@example.org", "bob@example.org", "ops@rooms.example.org"


def site(name: str, level: str = "ok", status: str = "OK 1/1", tier: str = "1") -> Site:
    bad = () if level == "ok" else (("service/httpd", level, "down"),)
    return Site(
        name, f"{name}@agents.example.org", True, status=status, health=HealthReport(level, 1, bad, 0, ("service",)),
        agent="0.1", tags={"tier": tier}, changed=0.0,
    )  # fmt: skip


class Scene:
    def __init__(self) -> None:
        self.clock = FakeClock()
        gone = Site("infn-t1", "infn-t1@agents.example.org", changed=0.0)
        self.sites = [site("cern"), site("desy", "crit", "CRIT 1/2 httpd down"), site("ral", tier="2"), gone]
        self.lines: dict[str, TypedLine] = {}
        self.slots: list[str] = []
        self.talk = Talk("hub@example.org", ROOM, "!", self.clock, lambda: self.sites, self.lines, lambda: self.slots)

    def gathered(self, asker: str, message: str, **texts: str) -> str:
        ident = typed_id(asker, ROOM, message)
        typed = Typed(ident, asker, asker, ROOM, "look", Reach.everyone, digest(ident, "look"))
        self.lines[ident] = line = TypedLine(typed, texts, texts, self.clock.monotonic())
        for name, text in texts.items():
            line.enter(Letter(name, Ended(ident, "done", text), self.clock.monotonic()), True)
        return ident

    def say(self, text: str, by: str = ALICE) -> str:
        return self.talk.answer(by, text)


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_status_names_what_is_not_well_the_worst_first(scene: Scene) -> None:
    head, *rows = scene.say("status").split("\n")
    assert head == "CRIT 2/4"
    assert [row.split()[0] for row in rows] == ["desy", "infn-t1"]
    assert "httpd down" in rows[0]


def test_sites_are_all_of_them(scene: Scene) -> None:
    assert [row.split()[0] for row in scene.say("!Sites").split("\n")[1:]] == ["desy", "infn-t1", "cern", "ral"]


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("status desy", "desy: crit"),
        ("status desy", "service/httpd: crit down"),
        ("status desy", "ask it itself: write to desy@agents.example.org"),
        ("status tag:tier=1", "CRIT 1/2"),
        ("status @health:crit", "desy: crit"),
        ("status dezy", "no site named dezy; did you mean desy?"),
        ("status tag:tier=9", "tag:tier=9 fits none of 4 sites"),
        ("status (", "a target is missing after"),
        ("help", "I am hub@example.org, the fleet of ops@rooms.example.org"),
        ("slots", "no slot is held or wanted"),
        ("jobs", "I collected nothing for you"),
        ("details", "I collected nothing for you; say it in the room, like !uptime @all"),
        ("uptime", f"say it in the room {ROOM}: !uptime @all; I collect the answers"),
        ("stauts", "did you mean status?"),
        ("yes K7Q", f"say it in the room {ROOM}: !yes K7Q"),
        ("\u2019", "help tells what I can"),
    ],
)
def test_each_question_has_an_answer_or_a_next_step(scene: Scene, line: str, part: str) -> None:
    assert part in scene.say(line)


def test_what_it_does_not_do_is_not_said_again_in_full_for_there_may_be_a_secret_in_it(scene: Scene) -> None:
    answer = scene.say("vault unlock hunter2")
    assert "!vault ... @all" in answer
    assert "hunter2" not in answer


def test_jobs_and_details_are_for_whoever_typed_them(scene: Scene) -> None:
    mine = scene.gathered(ALICE, "m1", cern="first\nsecond", desy="first\nsecond", ral="other")
    theirs = scene.gathered(BOB, "m1", cern="not for alice")
    assert mine[-4:] in scene.say("jobs")
    assert theirs[-4:] not in scene.say("jobs")
    assert "not for alice" not in scene.say(f"details {theirs}")
    assert scene.say("details").split("\n")[1:] == ["cern, desy: done: first", "  second", "ral: done: other"]
    assert scene.say("details ral").split("\n")[1:] == ["ral: done: other"]
    assert scene.say(f"details {mine[-4:]} cern").split("\n")[1:] == ["cern: done: first", "  second"]
    assert "fnal was not asked" in scene.say(f"details {mine[-4:]} fnal")
    assert "no job of yours ends in ZZZZ" in scene.say("details ZZZZ")
