"""A node: its instances come and go by name, what does not load shows, maintenance ends by itself."""

import asyncio
from pathlib import Path

import pytest

from amon.command import Call, command
from amon.errors import Failed
from amon.health import Health, Level
from amon.module import Env, Module
from amon.runtime.node import Node, Spec
from amon.store import Journal
from amon.testing import FakeClock
from amon.wire import HealthReport
from tests.runtime.scene import ALICE, BOB, Said, site

OLD = "01J00000000000000000000OLD"
UNTIL = "1970-01-12 15:46Z"


class Lasting(Module[None]):
    """Tells when it lives."""

    def __init__(self, env: Env[None], log: list[str]) -> None:
        super().__init__(env)
        self.log = log

    async def start(self) -> None:
        self.log.append(f"start {self.env.name}")

    async def stop(self) -> None:
        self.log.append(f"stop {self.env.name}")

    @command()
    async def may(self, call: Call) -> Said:
        """Whether it may restart things by itself."""
        return Said("no" if self.env.maintenance() else "yes")


class Slow(Lasting):
    async def stop(self) -> None:
        await asyncio.sleep(0.05)
        await super().stop()


class Crashing(Module[None]):
    async def start(self) -> None:
        raise Failed("no such device: eth7")

    @command()
    async def speed(self, call: Call) -> Said:
        """How fast."""
        return Said("fast")


def spec(name: str, log: list[str], cls: type[Lasting] = Lasting) -> Spec:
    return Spec(name, "lasting", cls, make=lambda env: cls(env, log))


MISSING = Spec("switch", "switch", None, reason="module 'switch' does not load: No module named 'pysnmp'")


async def test_a_module_that_does_not_load_shows_in_health_and_presence_and_answers_nothing(tmp_path: Path) -> None:
    async with site(tmp_path, specs=(MISSING,)) as lab:
        picture = lab.node.picture()
        assert (picture.show, picture.level) == ("dnd", Level.critical)
        assert picture.status == "CRIT 1/2 switch module 'switch' does not load: No module named 'pysnmp'"
        assert (await lab.ask("switch ports")).last.state == "invalid"
        rows = (await lab.ask("modules")).last.data
        assert [(row["instance"], row["level"]) for row in rows] == [("lab", "ok"), ("switch", "crit")]
        assert "pysnmp" in rows[1]["text"]


async def test_a_module_that_crashes_shows_and_is_asked_in_vain(tmp_path: Path) -> None:
    async with site(tmp_path, specs=(Spec("link", "link", Crashing),)) as lab:
        assert "link crashed (no such device: eth7), starts again in 1 s" in lab.node.picture().status
        ear = await lab.ask("link speed")
        assert ear.last.state == "failed"
        assert ear.last.text.startswith("link is not running: crashed (no such device: eth7)")
        assert (await lab.ask("look")).last.state == "done"


async def test_a_change_stops_and_starts_what_is_named_and_nothing_else(tmp_path: Path) -> None:
    log: list[str] = []
    async with site(tmp_path, specs=(spec("a", log), spec("b", log), MISSING)) as lab:
        before = lab.node.find("a")
        assert lab.node.picture().status.startswith("CRIT 1/4 switch")
        await lab.node.change(["b", "switch"], [spec("c", log)])
        await lab.node.wait_settled()
        assert log == ["start a", "start b", "stop b", "start c"]
        assert lab.node.find("a") is before
        assert sorted(lab.node.healths()) == ["a", "c", "lab"]
        assert lab.node.picture().status == "OK 3/3"
        assert (await lab.ask("b may")).last.state == "invalid"
        with pytest.raises(Failed, match="b is not running here"):
            lab.node.find("b")
    assert sorted(log[4:]) == ["stop a", "stop c"]


async def test_instances_stop_together(tmp_path: Path) -> None:
    log: list[str] = []
    async with site(tmp_path, specs=tuple(spec(f"s{n}", log, Slow) for n in range(20))) as lab:
        async with asyncio.timeout(0.9):
            await lab.node.stop()
    assert sum(line.startswith("stop") for line in log) == 20


async def test_an_account_is_shown_only_what_it_may_reveal(tmp_path: Path) -> None:
    async with site(tmp_path, specs=(MISSING,)) as lab:
        assert lab.node.picture(frozenset({"lab"})).status == "OK 1/1"
        assert lab.node.picture(frozenset()).status == "OK 0/0"


async def test_listeners_hear_of_changes_until_they_stop_listening(tmp_path: Path) -> None:
    async with site(tmp_path) as lab:
        heard: list[str] = []
        quiet = lab.node.listen(lambda: heard.append(lab.node.picture().status))
        lab.lab.now = Health.bad("is down")
        lab.lab.env.changed()
        quiet()
        lab.lab.env.changed()
        assert heard == ["CRIT 1/1 lab is down"]


async def test_status_tells_every_part_worst_first(tmp_path: Path) -> None:
    async with site(tmp_path) as lab:
        lab.lab.now = Health.of({"web": Health.good("fine"), "httpd": Health.bad("gone"), "ntpd": Health.fair("slow")})
        ear = await lab.ask("status")
        assert ear.last.text == "CRIT 2/3 httpd gone, ntpd slow"
        parts = [(part["name"], part["level"], part["state"]) for part in ear.last.data["parts"]]
        assert parts == [("lab/httpd", "crit", "down"), ("lab/ntpd", "warn", "warn"), ("lab/web", "ok", "up")]


async def test_whoami_and_version_answer_anybody_who_is_known(tmp_path: Path) -> None:
    async with site(tmp_path) as lab:
        assert (await lab.ask("whoami", by=BOB)).last.text == f"you are {BOB}, observer here (rule: observer {BOB})"
        assert (await lab.ask("version")).last.text.startswith("amon ")


async def test_completion_knows_instances_commands_and_maintenances(tmp_path: Path) -> None:
    async with site(tmp_path) as lab:
        assert (await lab.ask("complete 'lab re'")).last.text == "restart"
        assert "lab" in (await lab.ask("complete")).last.text.split()
        assert (await lab.ask("complete 'maintenance end s'")).last.text == "site"
        assert lab.node.candidates("lab", "nothing_like_that") == []


@pytest.mark.parametrize(
    ("line", "usage"),
    [
        ("help restart", "lab restart WHAT"),
        ("help lab restart", "lab restart WHAT"),
        ("help maintenance begin", "maintenance begin DURATION REASON [SCOPE]"),
        ("help lab", "lab look: Look at something."),
    ],
)
async def test_help_takes_the_command_as_it_would_be_typed(tmp_path: Path, line: str, usage: str) -> None:
    async with site(tmp_path) as lab:
        assert (await lab.ask(line)).last.text.splitlines()[0] == usage


@pytest.mark.parametrize("line", ["help nonsense", "help lab nonsense", "help lab look now", "help a b c d"])
async def test_help_on_what_is_not_there_is_an_error_of_the_asker(tmp_path: Path, line: str) -> None:
    async with site(tmp_path) as lab:
        assert (await lab.ask(line)).last.state == "invalid"


# Maintenance


async def test_maintenance_colours_presence_forbids_restarts_and_ends_by_itself(tmp_path: Path) -> None:
    log: list[str] = []
    async with site(tmp_path, specs=(spec("web", log),)) as lab:
        ear = await lab.ask("maintenance begin 10min 'new disks' web")
        assert ear.last.text == f"web until 1970-01-12 13:56Z ({ALICE}: new disks)"
        assert (await lab.ask("web may")).last.text == "no"
        assert (lab.node.picture().show, lab.node.picture().status) == ("xa", f"MAINT {ear.last.text}")
        assert lab.node.next_maintenance_end() == lab.clock.time() + 600
        lab.clock.advance(601)
        assert (await lab.ask("web may")).last.text == "yes"
        assert lab.node.picture().status == "OK 2/2"
        assert lab.node.next_maintenance_end() is None


async def test_what_breaks_during_maintenance_is_no_news_but_elsewhere_it_is(tmp_path: Path) -> None:
    log: list[str] = []
    async with site(tmp_path, specs=(spec("web", log),)) as lab:
        await lab.ask("maintenance begin 1h 'new disks' lab")
        lab.lab.now = Health.bad("is down")
        assert lab.node.picture().level is Level.maintenance
        assert (await lab.ask("web may")).last.text == "yes"
        await lab.ask("maintenance end lab")
        assert lab.node.picture().level is Level.critical


async def test_maintenance_of_the_site_covers_all_and_survives_a_restart(tmp_path: Path) -> None:
    clock = FakeClock()
    log: list[str] = []
    async with site(tmp_path, file="j", clock=clock, specs=(spec("web", log),)) as lab:
        await lab.ask("maintenance begin 1h 'new disks'")
    async with site(tmp_path, file="j", clock=clock, specs=(spec("web", log),)) as lab:
        assert (await lab.ask("web may")).last.text == "no"
        assert (await lab.ask("maintenance")).last.text == f"site until 1970-01-12 14:46Z ({ALICE}: new disks)"
        clock.advance(3601)
        assert (await lab.ask("web may")).last.text == "yes"


async def test_a_maintenance_that_was_ended_does_not_come_back_with_the_next_agent(tmp_path: Path) -> None:
    async with site(tmp_path, file="j") as lab:
        await lab.ask("maintenance begin 1h 'new disks'")
        said = (await lab.ask("maintenance end")).last.text
        assert said.startswith("ended: site until")
    async with site(tmp_path, file="j") as lab:
        assert lab.node.picture().status == "OK 1/1"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("maintenance begin 1h new disks", "no instance 'disks'; a reason of several words goes in quotes"),
        ("maintenance begin 1h why lob", "did you mean lab?"),
        ("maintenance end", "no maintenance of 'site' is under way; there is: none"),
        ("maintenance begin 10s why", "at least 60"),
        ("maintenance begin 1h", "needs reason"),
    ],
)
async def test_a_maintenance_that_makes_no_sense_is_refused(tmp_path: Path, line: str, said: str) -> None:
    async with site(tmp_path) as lab:
        ear = await lab.ask(line)
        assert ear.last.state in ("refused", "invalid")
        assert said in ear.last.text
        assert not lab.node.maintenances()


async def test_an_observer_begins_no_maintenance(tmp_path: Path) -> None:
    async with site(tmp_path) as lab:
        assert (await lab.ask("maintenance begin 1h why", by=BOB)).last.state == "refused"


# Keeping house


async def test_outcomes_are_forgotten_after_a_week_and_not_before(tmp_path: Path) -> None:
    async with site(tmp_path) as lab:
        await lab.ask("look", ident=OLD)
        await lab.clock.wait_sleepers(1)
        lab.clock.advance(7 * 86_400 - 10)
        await lab.clock.wait_sleepers(1)
        assert await lab.journal.find(ALICE, OLD) is not None
        lab.clock.advance(3600)
        await lab.clock.wait_sleepers(1)
        assert await lab.journal.find(ALICE, OLD) is None


async def test_a_clock_that_is_ahead_at_boot_makes_a_site_forget_nothing(tmp_path: Path) -> None:
    """Before the server has said the time, and for as long as it says another."""
    async with site(tmp_path, file="j") as lab:
        await lab.ask("look", ident=OLD)
    clock, doubt = FakeClock(1_000_000.0 + 30 * 86_400), [True]
    async with Journal.open(tmp_path / "j") as journal, asyncio.TaskGroup() as tasks:
        node = Node(tasks, journal, clock, tmp_path, lambda: doubt[0])
        await node.start([])
        for _ in range(3):
            await clock.wait_sleepers(1)
            assert await journal.find(ALICE, OLD) is not None
            clock.advance(3600)
        doubt[0] = False
        await clock.wait_sleepers(1)
        clock.advance(3600)
        await clock.wait_sleepers(1)
        assert await journal.find(ALICE, OLD) is None
        await node.stop()


async def test_nothing_is_forgotten_in_the_first_hour(tmp_path: Path) -> None:
    async with site(tmp_path, file="j") as lab:
        await lab.ask("look", ident=OLD)
    async with site(tmp_path, file="j", clock=FakeClock(1_000_000.0 + 30 * 86_400)) as lab:
        await lab.clock.wait_sleepers(1)
        lab.clock.advance(3599)
        assert await lab.journal.find(ALICE, OLD) is not None
        lab.clock.advance(1)
        await lab.clock.wait_sleepers(1)
        assert await lab.journal.find(ALICE, OLD) is None


async def test_a_node_starts_with_a_disk_that_is_full(tmp_path: Path) -> None:
    async with site(tmp_path, file="j") as lab:
        await lab.ask("look")

    class Full(Journal):
        async def end(self, record: object, audit: object) -> None:
            raise Failed("disk full")

    async with Journal.open(tmp_path / "j") as journal:
        await journal._writer.do(lambda db: db.execute("UPDATE calls SET state = NULL, outcome = NULL").close())
        async with asyncio.TaskGroup() as tasks:
            node = Node(tasks, Full(journal._writer), FakeClock(), tmp_path)
            await node.start([])
            assert len(node.take_interrupted("lab")) == 1
            await node.stop()


def test_a_report_names_nothing_that_is_well() -> None:
    assert HealthReport("ok", 3).bad == ()
