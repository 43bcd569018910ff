"""The Python API, as a script would use it."""

import asyncio
from dataclasses import replace

import pytest

from admin_console import Console
from admin_console.api import NobodyMeant, Question, Run
from admin_console.shell.kinds import Kind
from amon.errors import Failed, Refused
from amon.ids import new_id
from amon.job import ExitCode
from amon.store.ledger import KeptJob
from amon.words import Outcome, State
from tests.admin_console.ground import ALICE, Ground
from tests.waiting import until


async def test_a_script_gets_each_sites_outcome_as_it_comes(ground: Ground) -> None:
    await ground.site("cern")
    await ground.site("desy")
    async with Console(setup=ground.console()) as console:
        found = {outcome.site: outcome async for outcome in console.run("all", "status")}
    assert {site: outcome.state for site, outcome in found.items()} == {"cern": State.done, "desy": State.done}
    assert isinstance(found["cern"].answer.data, dict)


async def test_it_waits_for_the_closed_book(ground: Ground) -> None:
    await ground.site("cern")
    async with Console(setup=ground.console()) as console:
        run = console.run("cern", "nosuch thing")
        report = await run.finish()
    assert report.exit is ExitCode.refused
    assert run.book["cern"].state is State.invalid


async def test_jobs_run_side_by_side_on_one_connection(ground: Ground) -> None:
    await ground.site("cern")
    async with Console(setup=ground.console()) as console:
        reports = await asyncio.gather(*(console.run("cern", "status").finish() for _ in range(8)))
    assert [report.exit for report in reports] == [ExitCode.all_done] * 8
    assert len({report.job.id for report in reports}) == 8


async def test_nothing_is_changed_where_nobody_can_be_asked(ground: Ground) -> None:
    await ground.site("cern")
    await ground.site("desy")
    async with Console(setup=ground.console()) as console:
        report = await console.run("all", "odd keep it").finish()
        assert report.exit is ExitCode.refused
        assert {row.state for row in report.book.rows()} == {State.not_started}
    assert not list((ground.folder / "cern" / "state").rglob("kept"))


async def test_a_yes_beforehand_or_by_the_scripts_own_function_lets_it_be_done(ground: Ground) -> None:
    await ground.site("cern")
    await ground.site("desy")
    asked: list[Question] = []

    async def agree(question: Question) -> bool:
        asked.append(question)
        return True

    async with Console(setup=ground.console()) as console:
        before = await console.run("all", "odd keep it", yes=True).finish()
        meanwhile = await console.run("all", "odd keep it", ask=agree).finish()
    assert before.exit is meanwhile.exit is ExitCode.all_done
    assert [question.names for question in asked] == [["cern", "desy"]]


async def first(run: Run) -> Outcome | None:
    async for outcome in run:
        return outcome
    return None


async def test_whoever_leaves_the_loop_leaves_the_job_to_the_sites(ground: Ground) -> None:
    await ground.site("cern")
    agent = await ground.site("desy")
    async with Console(setup=ground.console()) as console:
        run = console.run("all", "odd hang", deadline=60)
        waiting = asyncio.create_task(first(run))
        await until(agent.node.dispatch.under_way)
        waiting.cancel()
        await asyncio.wait((waiting,))
        assert not run.book.closed
        assert agent.node.dispatch.under_way() == 1


async def test_a_target_that_fits_no_site_is_an_error(ground: Ground) -> None:
    await ground.site("cern")
    async with Console(setup=ground.console()) as console:
        with pytest.raises(NobodyMeant, match="did you mean cern"):
            await console.run("cerm", "status").finish()


async def test_sites_are_known_without_asking_them(ground: Ground) -> None:
    await ground.site("cern")
    async with Console(setup=ground.console()) as console:
        (site,) = await console.sites()
    assert (site.name, site.online) == ("cern", True)


async def test_a_missing_configuration_names_the_next_step(ground: Ground) -> None:
    with pytest.raises(Failed, match="amon example"):
        async with Console(ground.folder / "nowhere.toml"):
            raise AssertionError


async def test_a_line_that_is_known_to_hold_a_secret_is_in_no_book(ground: Ground) -> None:
    await ground.site("cern")
    said: list[str] = []
    setup = replace(ground.console(), ledger=ground.folder / "jobs.db")
    kind = Kind()
    kind.heard_words("", "odd\nstatus")
    kind.heard_words("odd ", "unlock")
    kind.heard_page("odd unlock", "odd unlock WORD\n  word: it; secret\nneeds role observer")
    setup.cache.learn(setup.settings.room, {"mark": kind})
    async with Console(setup=setup, say=said.append) as console:
        report = await console.run("cern", "odd unlock hunter2000").finish()
        await console.run("cern", "status").finish()
        kept = [job.line for job in await console.jobs()]
    assert report.exit is ExitCode.all_done
    assert kept == ["status"]
    assert "secret" in said[0]
    assert b"hunter2000" not in b"".join(path.read_bytes() for path in ground.folder.glob("jobs.db*"))


async def test_whoever_does_not_know_how_a_job_goes_through_its_sites_begins_none(ground: Ground) -> None:
    agent = await ground.site("cern")
    setup = replace(ground.console(), ledger=ground.folder / "jobs.db")
    async with Console(setup=setup) as console:
        assert console.ledger is not None
        ident, now = new_id(setup.clock.time()), setup.clock.time()
        kept = KeptJob(ident, ALICE, "status", "all", ("cern",), now, 30.0, 5.0, plan='{"batch":1,"tides":2}')
        await console.ledger.begin(kept)
        run = await console.job(ident, follow=True)
        with pytest.raises(Refused, match=f"another version of amon .* next: update amon, or amon job {ident[-6:]}"):
            await run.finish()
        assert not console.ledger.is_held(ident)
    assert agent.node.dispatch.handled == 0
