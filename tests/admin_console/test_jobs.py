"""Jobs that outlive their console: real agents, a real server, and `amon` as a program that is killed."""

import json
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from admin_console.api import Console
from admin_console.settings import state_path
from amon.clock import SystemClock
from amon.errors import Failed, Refused
from amon.store.hold import is_held
from amon.store.ledger import KeptJob, KeptRow, Ledger
from amon.store.look import job_in, known_ids
from amon.wire import Accepted
from site_agent.agent import Agent
from tests.admin_console.ground import ALICE, BOB, OPS, Ground
from tests.admin_console.odd import OddModule
from tests.admin_console.programs import in_pipe
from tests.waiting import until

IDENT = "01ARZ3NDEKTSV4RRFFQ69G7Q2K"
FAILS = "[instance.odd]\n[instance.odd.settings]\nfails = true\n"
WAITS = "[instance.odd]\n[instance.odd.settings]\nwaits = true\n"


def odd(agent: Agent) -> OddModule:
    module = agent.node.find("odd")
    assert isinstance(module, OddModule)
    return module


def book_of(folder: Path) -> Path:
    return state_path(OPS, {"XDG_STATE_HOME": str(folder)}) / "jobs.db"


class Amon:
    """The program, with the configuration of this ground."""

    def __init__(self, ground: Ground, folder: Path) -> None:
        self.ground, self.folder = ground, folder
        self.config = str(ground.console().config)

    def __call__(self, *words: str) -> Any:
        return in_pipe("--config", self.config, *words, folder=self.folder)

    async def done(self, *words: str) -> tuple[str, int]:
        """What it writes, and its exit code."""
        async with self(*words) as program:
            code = await program.ended(40)
            return program.text, code

    async def table(self, *words: str) -> tuple[dict[str, Any], int]:
        """A table as --json has it, without what differs from run to run."""
        text, code = await self.done(*words, "--json")
        document = json.loads(text[text.index("{") : text.rindex("}") + 1])
        for site in document["sites"]:
            del site["seconds"]
        return document, code

    @property
    def book(self) -> Path:
        return book_of(self.folder)


@pytest.fixture
def amon(ground: Ground, tmp_path: Path) -> Amon:
    return Amon(ground, tmp_path)


async def fleet_of_five(ground: Ground) -> Agent:
    """One of each: done, failed, refused, not there; the one that waits at its gate is given back."""
    await ground.site("cern")
    await ground.site("desy", FAILS)
    await ground.site("fnal", policy=f'admin = ["{BOB}"]\nobserver = []')
    await ground.member("ral")
    return await ground.site("triumf", WAITS)


async def test_a_job_of_a_killed_console_has_the_table_of_an_undisturbed_one(ground: Ground, amon: Amon) -> None:
    gated = await fleet_of_five(ground)
    async with amon("run", "all", "odd late") as program:
        for said in ("cern: done", "desy: failed", "fnal: refused", "ral: not-here"):
            await program.wait_for(said)
        await until(lambda: gated.node.dispatch.under_way() == 1)
        (ident,) = known_ids(amon.book)
        # An end is shown a moment before it is kept, and who refuses keeps nothing that could be asked for again.
        await until(lambda: "refused" in {row.state for row in job_in(amon.book, ident)[1]})
        program.process.send_signal(signal.SIGKILL)
        await program.process.wait()
    odd(gated).gate.set()
    await until(lambda: gated.node.dispatch.under_way() == 0)
    undisturbed, code = await amon.table("run", "all", "odd late")
    after, code_after = await amon.table("job", ident[-4:])
    assert (after["id"], code_after) == (ident, code)
    assert {**after, "id": ""} == {**undisturbed, "id": ""}
    assert [site["state"] for site in after["sites"]] == ["failed", "refused", "not-here", "done", "done"]


async def left_at_the_gate(amon: Amon, gated: Agent, *words: str) -> str:
    """The id of a job whose console was killed while a site was at it."""
    async with amon("run", *(words or ("all", "odd late"))) as program:
        await until(lambda: gated.node.dispatch.under_way() == 1)
        await until(lambda: any(row.state == "accepted" for row in job_in(amon.book, known_ids(amon.book)[0])[1]))
        program.process.kill()
        await program.process.wait()
    return known_ids(amon.book)[0]


async def test_following_stays_until_the_last_site_has_ended_and_has_it_in_the_book(ground: Ground, amon: Amon) -> None:
    gated = await ground.site("triumf", WAITS)
    ident = await left_at_the_gate(amon, gated)
    async with amon("job", ident, "--follow", "-o", "jsonl") as program:
        await until(lambda: gated.node.dispatch.under_way() == 1 and bool(program.process.pid))
        odd(gated).gate.set()
        assert await program.ended() == 0
        text = program.text
    assert '"state": "done"' in text
    job, (row,) = job_in(amon.book, ident)
    assert (row.state, row.reported, job.ended is not None) == ("done", True, True)


async def test_ctrl_c_ends_the_following_and_not_the_job(ground: Ground, amon: Amon) -> None:
    gated = await ground.site("triumf", WAITS)
    ident = await left_at_the_gate(amon, gated)
    async with in_pipe("--config", amon.config, "job", ident[-4:], "--follow", folder=amon.folder) as program:
        await until(lambda: (amon.book.with_name(f"held-{ident}")).exists())
        program.process.send_signal(signal.SIGINT)
        assert await program.ended() == 14
        assert f"the job goes on; next: amon job {ident[-4:]}" in program.text
    assert gated.node.dispatch.under_way() == 1


async def test_a_look_at_a_job_whose_time_is_over_waits_for_nobody(ground: Ground, amon: Amon) -> None:
    gated = await ground.site("triumf", WAITS)
    ident = await left_at_the_gate(amon, gated, "--timeout", "1s", "all", "odd late")
    text, code = await amon.done("job", ident)
    assert (code, "1 site: 1 accepted" in text or "1 site: 1 running" in text) == (14, True)
    odd(gated).gate.set()
    await until(lambda: gated.node.dispatch.under_way() == 0)
    text, code = await amon.done("job", ident)
    assert (code, "triumf: done" in text) == (0, True)


async def test_a_job_is_cancelled_by_another_console(ground: Ground, amon: Amon) -> None:
    gated = await ground.site("triumf", WAITS)
    ident = await left_at_the_gate(amon, gated)
    text, code = await amon.done("job", ident, "--cancel")
    assert (code, "triumf: cancelled" in text) == (15, True), text
    assert gated.node.dispatch.under_way() == 0


async def test_the_jobs_are_listed_newest_first_with_what_is_open(ground: Ground, amon: Amon) -> None:
    text, code = await amon.done("jobs")
    assert (text, code) == ("no job is known here; next: amon run TARGET COMMAND\n", 0)
    gated = await ground.site("triumf", WAITS)
    first = await left_at_the_gate(amon, gated)
    await amon.done("run", "triumf", "odd echo hello")
    text, code = await amon.done("jobs", "--json")
    newest, oldest = json.loads(text)["jobs"]
    assert code == 0
    assert (newest["line"], newest["open"], newest["summary"]) == ("odd echo hello", 0, "1 site: 1 done")
    assert (oldest["id"], oldest["short"], oldest["open"]) == (first, first[-4:], 1)
    assert oldest["summary"] == "1 site: 1 accepted"
    text, _ = await amon.done("jobs", "-n", "1")
    assert (first[-4:] in text, newest["short"] in text) == (False, True)
    assert (await amon.done("jobs", "-o", "quiet"))[0] == f"{first[-4:]}\n"


async def test_what_failed_is_asked_once_more_as_a_new_job_and_a_change_asks_first(ground: Ground, amon: Amon) -> None:
    await ground.site("cern")
    await ground.member("desy")
    await ground.member("fnal")
    _, code = await amon.done("run", "--yes", "all", "odd keep one")
    first = known_ids(amon.book)[0]
    assert code == 11
    await ground.site("gsi")
    desy = await back(ground, "desy")
    fnal = await back(ground, "fnal")
    text, code = await amon.done("job", first, "--retry-failed")
    assert code == 13
    assert "this changes 2 sites, and nobody is here to say yes: nothing was done" in text
    assert not (kept(ground, "desy"))
    assert not (kept(ground, "fnal"))
    text, code = await amon.done("job", first, "--retry-failed", "--yes")
    third = known_ids(amon.book)[0]
    assert (code, third != first) == (0, True), text
    assert f"this is job {third[-4:]}" in text
    assert [kept(ground, name) for name in ("cern", "desy", "fnal", "gsi")] == ["one\n", "one\n", "one\n", ""]
    text, code = await amon.done("job", third, "--retry-failed")
    assert (code, f"nothing of {third} failed, by the book" in text) == (1, True)
    assert desy is not fnal


async def back(ground: Ground, name: str, *words: str, policy: str = f'admin = ["{ALICE}"]') -> Agent:
    """The agent of a site that was only a member until now."""
    return await ground.site(name, *words, policy=policy)


def kept(ground: Ground, name: str) -> str:
    """What the site wrote down."""
    path = ground.folder / name / "state" / "instances" / "odd" / "kept"
    return path.read_text() if path.exists() else ""


async def test_the_sites_of_a_job_are_a_target(ground: Ground, amon: Amon) -> None:
    await ground.site("cern")
    await ground.site("desy", FAILS)
    await amon.done("run", "all", "odd try")
    ident = known_ids(amon.book)[0]
    for text, names in ((f"@job:{ident[-4:]}:failed", ["desy"]), (f"@job:{ident} and not desy", ["cern"])):
        document, _ = await amon.table("run", text, "odd echo hello")
        assert document["names"] == names
        assert document["target"] == text.replace(ident[-4:], ident[-4:].upper())
    text, code = await amon.done("run", f"@job:{ident[-4:]}:lost", "odd echo hello")
    assert (code, "fits none of 2 sites" in text) == (12, True)
    text, code = await amon.done("run", "@job:ZZZZ", "odd echo hello")
    assert (code, "no job is known here whose id ends in ZZZZ; next: amon jobs" in text) == (1, True)


async def test_a_job_that_is_known_whole_needs_no_server_and_others_are_shown_by_the_book(
    ground: Ground, amon: Amon
) -> None:
    gated = await ground.site("triumf", WAITS)
    await amon.done("run", "all", "odd echo hello")
    done = known_ids(amon.book)[0]
    open_ = await left_at_the_gate(amon, gated)
    config = Path(amon.config)
    config.write_text(config.read_text().replace(str(ground.server.c2s_port), "1"))
    text, code = await amon.done("job", done)
    assert (text, code) == ("triumf: done: hello\n1 site: 1 done\n", 0)
    text, code = await amon.done("job", open_)
    assert (code, "the sites could not be asked: " in text, "1 site: 1 accepted" in text) == (14, True, True)


async def test_the_job_of_another_account_is_not_asked_for(ground: Ground, amon: Amon) -> None:
    gated = await ground.site("triumf", WAITS)
    ident = await left_at_the_gate(amon, gated)
    amon.config = str(ground.console(BOB).config)
    text, code = await amon.done("job", ident)
    assert (code, "alice@amon.test asked for" in text) == (1, True)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("job", "7Q2K"), "no job is known here whose id ends in 7Q2K; next: amon jobs"),
        (("job", "x/../y"), "'x/../y' is no id of a job; next: amon jobs"),
        (("job", "7Q2K", "--follow", "--cancel"), "say one of --follow, --cancel and --retry-failed"),
        (("job", "7Q2K", "--yes"), "--yes and --sign go with --retry-failed"),
    ],
)
async def test_what_cannot_be_meant_is_said_before_anything_is_done(
    amon: Amon, words: tuple[str, ...], why: str
) -> None:
    text, code = await amon.done(*words)
    assert (code in (1, 2), why in text) == (True, True), text


async def test_whoever_stops_waiting_is_told_that_the_job_goes_on_and_how_to_ask_for_it(
    ground: Ground, amon: Amon
) -> None:
    await ground.false_site("mute", lambda request: [Accepted(request.id)])
    async with amon("run", "all", "odd late") as program:
        await until(lambda: bool(known_ids(amon.book)))
        ident = known_ids(amon.book)[0]
        await until(lambda: job_in(amon.book, ident)[1][0].state == "accepted")
        program.process.send_signal(signal.SIGINT)
        await program.wait_for("Ctrl-C again")
        program.process.send_signal(signal.SIGINT)
        await program.wait_for(f"the job goes on; next: amon job {ident[-6:]}")
        assert await program.ended() == 15


async def test_a_script_takes_up_a_job_and_hears_each_site_once_with_what_it_knows_now(
    ground: Ground, amon: Amon
) -> None:
    await ground.site("cern")
    gated = await ground.site("triumf", WAITS)
    ident = await left_at_the_gate(amon, gated, "--timeout", "1s", "all", "odd late")
    async with Ledger.open(amon.book) as ledger:  # as its console would have concluded
        await ledger.note([KeptRow(ident, "triumf", "silent", "did not accept", changed=1.0, asked=True)])
    odd(gated).gate.set()
    await until(lambda: gated.node.dispatch.under_way() == 0)
    async with Console(setup=replace(ground.console(), ledger=amon.book)) as console:
        assert [(job.id, job.line) for job in await console.jobs()] == [(ident, "odd late")]
        job = await console.job(ident[-4:])
        heard = [(outcome.site, str(outcome.state)) async for outcome in job]
        assert sorted(heard) == [("cern", "done"), ("triumf", "done")]
        assert job.book["triumf"].late
        with pytest.raises(Refused, match="no job is known here"):
            await console.job("ZZZZ")
    async with Console(setup=ground.console()) as console:
        with pytest.raises(Failed, match="keeps no book of jobs"):
            await console.jobs()


@pytest.mark.parametrize(
    ("words", "state", "text"),
    [
        (("odd deny",), "silent", "it does not know the request"),  # what a module refuses it might do another time
        (("odd nosuch",), "invalid", "nosuch"),
        (("--dry-run", "odd keep one"), "done", "would keep one"),
        (("odd keep one",), "silent", "it does not know the request"),
    ],
)
async def test_what_no_journal_has_is_heard_by_asking_what_it_would_be_now(
    ground: Ground, amon: Amon, words: tuple[str, ...], state: str, text: str
) -> None:
    """Of a console that was killed after it wrote down that it would ask, and before anything came back."""
    await ground.site("cern")
    job = KeptJob(IDENT, ALICE, words[-1], "all", ("cern",), SystemClock().time(), 2.0, 2.0, "--dry-run" in words, True)
    async with Ledger.open(amon.book) as ledger:
        await ledger.begin(job)
        await ledger.note([KeptRow(IDENT, "cern", "pending", changed=job.created, asked=True)])
    document, _ = await amon.table("job", IDENT)
    (site,) = document["sites"]
    assert (site["state"], site["late"], text in site["text"]) == (state, False, True), site
    assert kept(ground, "cern") == ""


async def test_a_rollout_whose_console_was_killed_goes_on_only_with_who_follows_it(ground: Ground, amon: Amon) -> None:
    gated = await ground.site("cern", WAITS)
    others = [await ground.site(name) for name in ("desy", "fnal")]
    ident = await left_at_the_gate(amon, gated, "--batch", "1", "--timeout", "2s", "all", "odd late")
    document, code = await amon.table("job", ident)
    assert (code, [agent.node.dispatch.handled for agent in others]) == (14, [0, 0])
    stands = {site["site"]: site["state"] for site in document["sites"]}
    assert stands.pop("cern") in ("accepted", "running")
    assert stands == {"desy": "pending", "fnal": "pending"}
    async with amon("job", ident, "--follow") as program:
        await until(lambda: is_held(amon.book.with_name(f"held-{ident}")))
        odd(gated).gate.set()
        assert await program.ended(40) == 0
    assert [agent.node.dispatch.handled for agent in (gated, *others)] == [1, 1, 1]
    assert {row.site: row.state for row in job_in(amon.book, ident)[1]} == dict.fromkeys(
        ("cern", "desy", "fnal"), "done"
    )
