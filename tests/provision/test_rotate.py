"""Passwords that change by themselves: when, what is told, and what is left wherever a power loss comes in between."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest

from admin_console.provision.desk import opens
from admin_console.session import Session, in_fleet
from amon.errors import Failed
from amon.files import write_whole
from amon.health import Health
from amon.testing import FakeClock
from amon.xmpp.faults import StanzaError
from site_agent.passfiles import Keep, PassFiles
from site_agent.rotate import RETRY, Rotation
from tests.provision.office import Office

CERN = "cern@agents.amon.test"
MONTH = 30 * 86_400.0


@dataclass
class FakeLine:
    """A server that holds one password, and a connection that tries those it was given."""

    holds: str
    given: tuple[str, ...]
    online: bool = True
    sessions: int = 0
    password_works: int = 0
    refusal: str = ""
    took: bool = True
    asked: list[str] = field(default_factory=list)
    files_at_change: Callable[[], None] = lambda: None

    def statistics(self) -> "FakeLine":
        return self

    def log_in(self) -> None:
        self.password_works = self.given.index(self.holds)
        self.sessions += 1

    async def change_password(self, new: str) -> None:
        self.asked.append(new)
        self.files_at_change()
        if self.refusal in ("", "timeout") and self.took:
            self.holds = new
        if self.refusal:
            raise StanzaError(self.refusal, "the server says no")


@dataclass
class Scene:
    files: PassFiles
    line: FakeLine
    clock: FakeClock
    rotation: Rotation
    told: list[Health | None]
    changed: list[str]
    reachable: list[bool]

    def age(self, seconds: float) -> None:
        at = self.clock.time() - seconds
        os.utime(self.files.path, (at, at))

    def trouble(self) -> str:
        """What the health of the site says of it now; empty if it is well."""
        last = self.told[-1] if self.told else None
        return last.text if last is not None else ""

    def kept(self) -> dict[str, str]:
        files = {"path": self.files.path, "next": self.files.next, "recovery": self.files.recovery}
        return {name: path.read_text().strip() for name, path in files.items() if path.exists()}


def scene(folder: Path, holds: str = "old", every: float | None = MONTH, seed: int = 1, **more: str) -> Scene:
    """`more`: what stands in the files beside, as `next` and `recovery`."""
    files = PassFiles(folder / "password")
    write_whole(files.path, "old\n")
    for name, text in more.items():
        write_whole(getattr(files, name), f"{text}\n")
    given = ("old", *files.spare(os.geteuid()))
    line, clock = FakeLine(holds, given), FakeClock()
    told: list[Health | None] = []
    changed: list[str] = []
    reachable = [True]

    async def works(password: str) -> bool:
        if not reachable[0]:
            raise Failed("no way there")
        return password == line.holds

    rotation = Rotation(
        Keep(files.path, every), given, line, works,
        told=told.append, changed=changed.append, clock=clock, random=Random(seed),
    )  # fmt: skip
    made = Scene(files, line, clock, rotation, told, changed, reachable)
    made.age(0)
    line.log_in()
    return made


async def test_a_young_password_stays(tmp_path: Path) -> None:
    s = scene(tmp_path)
    s.age(MONTH * 0.89)
    await s.rotation.step()
    assert (s.line.asked, s.kept()) == ([], {"path": "old"})


async def test_an_old_one_is_changed_and_tried_before_it_takes_the_place_of_the_old(tmp_path: Path) -> None:
    s = scene(tmp_path)
    s.age(MONTH)
    before: list[dict[str, str]] = []
    s.line.files_at_change = lambda: before.append(s.kept())
    await s.rotation.step()
    (new,) = s.line.asked
    assert before == [{"path": "old", "next": new}], "both are on the disk before the server is asked"
    assert s.kept() == {"path": new}
    assert (s.line.holds, s.changed, s.told) == (new, [new], [None])
    await s.rotation.step()
    assert len(s.line.asked) == 1, "its age begins anew"


async def test_a_fleet_that_was_enrolled_in_one_hour_does_not_change_in_one(tmp_path: Path) -> None:
    changed = {0.89: 0, 0.95: 0, 1.0: 0}
    for seed in range(20):
        for share in changed:
            folder = tmp_path / f"{seed}-{share}"
            folder.mkdir()
            s = scene(folder, seed=seed)
            s.age(MONTH * share)
            await s.rotation.step()
            changed[share] += len(s.line.asked)
    assert changed[0.89] == 0
    assert 3 < changed[0.95] < 17
    assert changed[1.0] == 20


async def test_a_refusal_is_told_in_the_health_and_tried_again_in_an_hour(tmp_path: Path) -> None:
    s = scene(tmp_path)
    s.age(MONTH)
    s.line.refusal, s.line.took = "not-allowed", False
    await s.rotation.step()
    assert s.kept() == {"path": "old"}
    assert s.trouble() == "the password was not changed: the server says no"
    await s.rotation.step()
    assert len(s.line.asked) == 1
    s.clock.advance(RETRY)
    s.line.refusal, s.line.took = "", True
    await s.rotation.step()
    assert s.trouble() == ""
    assert s.kept() == {"path": s.line.holds}


async def test_a_server_that_lies_about_a_change_costs_no_password(tmp_path: Path) -> None:
    s = scene(tmp_path)
    s.age(MONTH)
    s.line.took = False  # it says that it did
    await s.rotation.step()
    assert s.kept() == {"path": "old", "next": s.line.asked[0]}
    assert s.line.holds == "old"
    assert "the server said that it took a new one, and refuses it" in s.trouble()


@pytest.mark.parametrize("took", [True, False])
async def test_a_lost_answer_is_found_out_by_logging_in(tmp_path: Path, took: bool) -> None:
    s = scene(tmp_path)
    s.age(MONTH)
    s.line.refusal, s.line.took = "timeout", took
    await s.rotation.step()
    (first,) = s.line.asked
    # If it was not taken yet it may still be: it is kept, until nothing can come any more.
    assert s.kept() == ({"path": first} if took else {"path": "old", "next": first})
    s.line.refusal, s.line.took = "", True
    s.clock.advance(RETRY)
    await s.rotation.step()
    assert s.kept() == {"path": s.line.holds}
    assert len(s.line.asked) == (1 if took else 2)


async def test_what_cannot_be_found_out_is_kept_and_never_written_over(tmp_path: Path) -> None:
    s = scene(tmp_path)
    s.age(MONTH)
    s.line.refusal, s.reachable[0] = "timeout", False
    await s.rotation.step()
    (first,) = s.line.asked
    assert s.kept() == {"path": "old", "next": first}
    s.clock.advance(RETRY)
    await s.rotation.step()
    assert s.kept() == {"path": "old", "next": first}, "the one that the server may hold is still there"
    s.clock.advance(RETRY)
    s.line.refusal, s.reachable[0] = "", True
    await s.rotation.step()
    assert s.kept() == {"path": s.line.holds}


async def test_after_a_crash_in_between_the_login_tells_which_one_holds(tmp_path: Path) -> None:
    s = scene(tmp_path, "new", next="new")
    await s.rotation.step()
    assert s.kept() == {"path": "new"}
    assert s.line.asked == []


async def test_what_a_dead_session_asked_for_may_be_done_late_and_is_kept_until_then(tmp_path: Path) -> None:
    s = scene(tmp_path, "old", next="new")
    s.age(MONTH)
    now = s.clock.time()
    os.utime(s.files.next, (now - 1, now - 1))
    await s.rotation.step()
    assert (s.kept(), s.line.asked) == ({"path": "old", "next": "new"}, [])
    s.line.holds = "new"  # only now
    s.clock.advance(120)
    await s.rotation.step()
    assert s.kept() == {"path": "new"}


async def test_what_a_dead_session_asked_for_and_was_never_done_is_given_up(tmp_path: Path) -> None:
    s = scene(tmp_path, "old", next="new")
    s.age(MONTH)
    now = s.clock.time()
    os.utime(s.files.next, (now - 120, now - 120))
    await s.rotation.step()
    assert s.kept() == {"path": s.line.holds}
    assert s.line.holds not in ("old", "new")


async def test_what_was_opened_with_the_secret_of_the_enrolment_is_changed_at_once(tmp_path: Path) -> None:
    for every in (MONTH, None):
        folder = tmp_path / str(every)
        folder.mkdir()
        s = scene(folder, "first", every, recovery="first")
        await s.rotation.step()
        assert s.kept() == {"path": s.line.holds, "recovery": "first"}
        assert s.line.holds == s.line.asked[0]


async def test_nothing_is_done_while_there_is_no_session(tmp_path: Path) -> None:
    s = scene(tmp_path)
    s.age(10 * MONTH)
    s.line.online = False
    await s.rotation.step()
    assert s.line.asked == []


async def test_a_file_from_the_future_is_of_no_known_age_and_changed(tmp_path: Path) -> None:
    s = scene(tmp_path)
    s.age(-MONTH)
    await s.rotation.step()
    assert len(s.line.asked) == 1


async def test_a_disk_that_takes_nothing_is_told_and_the_server_is_not_asked(tmp_path: Path) -> None:
    s = scene(tmp_path)
    s.age(MONTH)
    s.files.next.mkdir()  # nothing can be put in its place
    await s.rotation.step()
    assert s.line.asked == []
    assert s.trouble().startswith("the password was not changed: ")


# --- for real


def grow_old(office: Office, name: str) -> None:
    path = office.place(name).passwords.path
    os.utime(path, (1, 1))


async def changed_from(path: Path, old: str) -> str:
    async with asyncio.timeout(30):
        while path.read_text() == old:  # noqa: ASYNC110
            await asyncio.sleep(0.1)  # the file of another process
    return path.read_text().strip()


async def test_a_running_agent_changes_its_password_and_stays_online(office: Office) -> None:
    await office.fleet_of("cern")
    path = office.place("cern").passwords.path
    old = path.read_text()
    grow_old(office, "cern")
    new = await changed_from(path, old)
    assert await opens(office.desk(), CERN, new)
    assert not await opens(office.desk(), CERN, old.strip())
    await office.online("cern")
    agent = office.agents["cern"]
    assert agent.said().count("/agent: online") == 1, "the session went on"
    agent.signal(signal.SIGHUP)
    await agent.notices.wait("READY=1")
    assert "reloaded: nothing is different" in agent.said(), "the new password is no reason to log in anew"
    await agent.stop()
    await office.start("cern")


async def test_a_change_that_does_not_work_is_seen_in_the_health_of_the_site(office: Office) -> None:
    await office.fleet_of("cern")
    files = office.place("cern").passwords
    old = files.path.read_text()
    files.next.mkdir()  # nothing can be put there
    grow_old(office, "cern")
    async with asyncio.timeout(30), in_fleet(office.console()) as session:
        while ("agent/password-main", "warn", "not changed") not in troubles(session):
            session.fleet.changed.clear()
            await session.fleet.changed.wait()
    assert files.path.read_text() == old


def troubles(session: Session) -> list[tuple[str, str, str]]:
    return [bad for site in session.sites() if site.health is not None for bad in site.health.bad]


CRASH = """
import asyncio, os, signal, sys
from pathlib import Path
from random import Random
from site_agent.configuration import World, load
from site_agent.rotate import Rotation, logs_in
from amon.clock import SystemClock
from amon.testing import FakeClock
from amon.xmpp.connection import Connection
from amon.xmpp.tls import tls_context
from site_agent.enroll import Ear

def die():
    os.kill(os.getpid(), signal.SIGKILL)

class Line:
    def __init__(self, connection, where):
        self.connection, self.where = connection, where
    password_works = property(lambda self: self.connection.password_works)
    online = property(lambda self: self.connection.online)
    def statistics(self):
        return self.connection.statistics()
    async def change_password(self, new):
        if self.where == "before": die()
        changing = asyncio.ensure_future(self.connection.change_password(new))
        if self.where == "asked":
            await asyncio.sleep(0)
            await self.connection.drain()
            die()
        await changing
        if self.where == "after": die()

async def main(config, where):
    (plan,) = load(Path(config), World.here()).configuration.accounts
    context = tls_context(plan.ca_file)
    connection = Connection(plan.login, Ear(), context=context, random=Random())
    life = asyncio.create_task(connection.run())
    await connection.wait_online()
    async def works(password):
        if where == "tried": die()
        return await logs_in(plan.login, password, context)
    rotation = Rotation(plan.keep, (plan.login.password, *plan.login.spare), Line(connection, where), works,
        told=lambda health: None, changed=lambda new: die() if where == "placed" else None,
        clock=SystemClock(), random=Random())
    await rotation.step()
    print("not killed")

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize("where", ["before", "asked", "after", "tried", "placed"])
async def test_killed_anywhere_in_a_change_the_agent_logs_in_afterwards(office: Office, where: str) -> None:
    made = await office.make_site("cern")
    files = made.place.passwords
    grow_old(office, "cern")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-c", CRASH, str(made.place.config), where, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    assert (process.returncode, said) == (-signal.SIGKILL, b"")
    assert files.next.exists() == (where != "placed")
    await office.start("cern")
    if where in ("after", "tried"):
        async with asyncio.timeout(20):
            while files.next.exists():  # noqa: ASYNC110
                await asyncio.sleep(0.1)  # the file of another process
    kept = [path.read_text().strip() for path in (files.path, files.next) if path.exists()]
    assert any([await opens(office.desk(), CERN, one) for one in kept])
