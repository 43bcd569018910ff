"""Jobs for sites that are offline: delivered when they come back, once, by whichever process is there."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from admin_console.jobs.courier import deliver, is_running, lock_of, log_of
from amon.clock import SystemClock
from amon.store.hold import holder, is_held
from amon.store.ledger import KeptJob, KeptRow, Ledger
from amon.store.look import job_in, known_ids
from tests.admin_console.ground import ALICE, BOB, Ground
from tests.admin_console.programs import in_pipe
from tests.admin_console.test_jobs import Amon, back, kept
from tests.waiting import until


@pytest.fixture
async def amon(ground: Ground, tmp_path: Path) -> AsyncIterator[Amon]:
    """No courier outlives its test."""
    made = Amon(ground, tmp_path)
    yield made
    kill_courier(made)
    await until(lambda: not is_running(made.book))


def kill_courier(amon: Amon) -> None:
    pid = holder(lock_of(amon.book, ALICE))
    if pid is not None:
        os.kill(pid, signal.SIGKILL)


def states(amon: Amon, ident: str) -> dict[str, str]:
    return {row.site: row.state for row in job_in(amon.book, ident)[1]}


async def queued(amon: Amon, *words: str, until_: str = "1h") -> str:
    """The id of a job that was begun for all and detached; its first line on standard output is the short id."""
    text, code = await amon.done("run", "--queue-until", until_, "--detach", "--yes", "all", *words)
    ident = known_ids(amon.book)[0]
    assert f"{ident[-4:]}\n" in text, text
    assert code == 0, text
    return ident


async def test_a_site_that_comes_back_gets_what_was_queued_once_and_the_courier_goes(
    ground: Ground, amon: Amon
) -> None:
    await ground.site("cern")
    await ground.member("desy")
    ident = await queued(amon, "odd keep one")
    await until(lambda: is_running(amon.book))
    assert states(amon, ident)["desy"] == "pending"
    text, _ = await amon.done("jobs")
    assert f"{ident[-4:]}: queued for 1 site until " in text
    assert "courier" in text
    await back(ground, "desy")
    await until(lambda: states(amon, ident) == {"cern": "done", "desy": "done"})
    await until(lambda: not is_running(amon.book))
    assert (kept(ground, "cern"), kept(ground, "desy")) == ("one\n", "one\n")
    assert job_in(amon.book, ident)[0].ended is not None
    assert "nothing is queued any more" in log_of(amon.book).read_text()


async def test_a_courier_that_was_killed_is_replaced_and_nothing_is_done_twice(ground: Ground, amon: Amon) -> None:
    await ground.site("cern")
    await ground.member("desy")
    ident = await queued(amon, "odd keep one")
    await until(lambda: is_held(amon.book.with_name(f"held-{ident}")))
    kill_courier(amon)
    await until(lambda: not is_running(amon.book))
    text, _ = await amon.done("jobs")
    assert f"nobody delivers it; next: amon job {ident[-4:]} --follow" in text
    await back(ground, "desy")
    async with in_pipe("--config", amon.config, "courier", folder=amon.folder) as courier:
        assert await courier.ended(40) == 0
    assert states(amon, ident) == {"cern": "done", "desy": "done"}
    assert (kept(ground, "cern"), kept(ground, "desy")) == ("one\n", "one\n")


async def test_whoever_is_told_to_go_leaves_what_is_queued_to_a_courier(ground: Ground, amon: Amon) -> None:
    await ground.member("desy")
    async with amon("run", "--queue-until", "1h", "--yes", "desy", "odd keep one") as program:
        await until(lambda: "offline" in waits(amon))
        program.process.send_signal(signal.SIGTERM)
        await program.wait_for("delivered by a courier")
        await program.ended()
    await until(lambda: is_running(amon.book))
    await back(ground, "desy")
    await until(lambda: kept(ground, "desy") == "one\n")


def waits(amon: Amon) -> str:
    """What the rows of the last job say, if there is one."""
    return "".join(row.text for ident in known_ids(amon.book)[:1] for row in job_in(amon.book, ident)[1])


async def test_a_second_courier_finds_the_first_at_work_and_goes(ground: Ground, amon: Amon) -> None:
    await ground.member("desy")
    await queued(amon, "odd keep one")
    await until(lambda: is_running(amon.book))
    first = holder(lock_of(amon.book, ALICE))
    await queued(amon, "odd keep two")
    async with in_pipe("--config", amon.config, "courier", folder=amon.folder) as courier:
        assert await courier.ended(40) == 0
        await courier.wait_for("another courier is at work")
    assert holder(lock_of(amon.book, ALICE)) == first
    await back(ground, "desy")
    await until(lambda: not is_running(amon.book))
    assert sorted(kept(ground, "desy").split()) == ["one", "two"]


async def test_what_is_delivered_is_judged_by_the_policy_of_that_moment(ground: Ground, amon: Amon) -> None:
    await ground.member("desy")
    ident = await queued(amon, "odd keep one")
    await back(ground, "desy", policy=f'admin = ["{BOB}"]\nobserver = ["{ALICE}"]')
    await until(lambda: states(amon, ident) == {"desy": "refused"})
    assert kept(ground, "desy") == ""


async def test_what_nobody_came_for_has_expired_in_the_end(ground: Ground, amon: Amon) -> None:
    await ground.member("desy")
    ident = await queued(amon, "odd keep one", until_="4s")
    await until(lambda: states(amon, ident) == {"desy": "expired"})
    await until(lambda: not is_running(amon.book))
    _, code = await amon.done("job", ident)
    assert code == 11


async def test_what_was_cancelled_is_not_delivered_any_more(ground: Ground, amon: Amon) -> None:
    await ground.member("desy")
    ident = await queued(amon, "odd keep one")
    await until(lambda: is_held(amon.book.with_name(f"held-{ident}")))
    text, code = await amon.done("job", ident, "--cancel")
    assert (code, "desy: not-started: was cancelled before its turn came" in text) == (15, True), text
    await until(lambda: not is_running(amon.book))
    agent = await back(ground, "desy")
    _, code = await amon.done("job", ident)
    assert (code, kept(ground, "desy"), agent.node.dispatch.handled) == (15, "", 0)


async def test_one_who_follows_delivers_and_a_second_one_is_told_so(ground: Ground, amon: Amon) -> None:
    await ground.member("desy")
    async with amon("run", "--queue-until", "1h", "--yes", "all", "odd keep one") as program:
        await until(lambda: bool(known_ids(amon.book)))
        ident = known_ids(amon.book)[0]
        await until(lambda: is_held(amon.book.with_name(f"held-{ident}")))
        text, code = await amon.done("job", ident, "--follow")
        assert (code, "another amon of yours is at it" in text) == (1, True)
        program.process.kill()
        await program.process.wait()
    async with amon("job", ident, "--follow") as program:
        await until(lambda: is_held(amon.book.with_name(f"held-{ident}")))
        await back(ground, "desy")
        assert await program.ended() == 0
    assert (states(amon, ident), kept(ground, "desy")) == ({"desy": "done"}, "one\n")


async def test_detached_ends_when_the_sites_have_taken_it_and_prints_only_the_id(ground: Ground, amon: Amon) -> None:
    gated = await ground.site("triumf", "[instance.odd]\n[instance.odd.settings]\nwaits = true\n")
    process = await asyncio.create_subprocess_exec(
        "/bin/sh", "-c", 'exec "$@" 2>/dev/null', "sh", *_words(amon, "run", "--detach", "all", "odd late"),
        env={**os.environ, "XDG_STATE_HOME": str(amon.folder), "XDG_CACHE_HOME": str(amon.folder)},
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await process.communicate()
    (ident,) = known_ids(amon.book)
    assert (process.returncode, out.decode()) == (0, f"{ident[-4:]}\n")
    assert gated.node.dispatch.under_way() == 1
    assert states(amon, ident) == {"triumf": "accepted"}
    assert not is_running(amon.book)


async def test_detached_says_at_once_who_did_not_take_it(ground: Ground, amon: Amon) -> None:
    await ground.site("cern")
    await ground.member("desy")
    text, code = await amon.done("run", "--detach", "all", "odd echo hello")
    assert code == 11
    assert "2 sites: 1 done, 1 not-here; next: amon job" in text


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--detach", "--batch", "2"), "--detach leaves nobody who begins the next sites"),
        (("--queue-until", "1h"), "say --yes at once"),
        (("--queue-until", "7d", "--yes"), "at most 6 days: sites remember for 7 what they did"),
    ],
)
async def test_what_nobody_would_be_there_to_do_is_refused(amon: Amon, words: tuple[str, ...], why: str) -> None:
    text, code = await amon.done("run", *words, "all", "odd keep one")
    assert (code, why in text) == (2, True), text
    assert known_ids(amon.book) == []


def _words(amon: Amon, *words: str) -> tuple[str, ...]:
    from tests.admin_console.programs import AMON

    return *AMON, "--config", amon.config, *words


async def test_a_courier_is_in_a_session_of_its_own_and_keeps_no_stream_of_ours(ground: Ground, amon: Amon) -> None:
    await ground.member("desy")
    await queued(amon, "odd keep one")
    await until(lambda: holder(lock_of(amon.book, ALICE)) is not None)
    pid = holder(lock_of(amon.book, ALICE)) or 0
    courier = psutil.Process(pid)
    assert os.getsid(pid) == pid
    assert courier.cwd() == "/"
    log = str(log_of(amon.book))
    assert [str(Path(f"/proc/{pid}/fd/{number}").readlink()) for number in (0, 1, 2)] == ["/dev/null", log, log]
    assert log_of(amon.book).stat().st_mode & 0o777 == 0o600
    assert json.dumps(courier.cmdline()).count("correct horse") == 0


@pytest.mark.parametrize("passphrase", ["", "a long one"])
async def test_what_a_site_wants_signed_is_signed_by_a_key_that_needs_no_person(
    ground: Ground, amon: Amon, passphrase: str
) -> None:
    path = ground.folder / "id_alice"
    words = ("ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", str(path))
    assert await (await asyncio.create_subprocess_exec(*words)).wait() == 0
    signers = ground.folder / "signers"
    signers.write_text(f"{ALICE} {path.with_suffix('.pub').read_text()}")
    signers.chmod(0o644)
    await ground.member("desy")
    own = ground.console(key=str(path)).config.rename(ground.folder / "alice.toml")  # the ground writes its own anew
    amon.config = str(own)
    ident = await queued(amon, "odd wipe")
    await ground.site("desy", policy=f'owner = ["{ALICE}"]', more=f'signers = "{signers}"')
    await until(lambda: states(amon, ident)["desy"] in ("done", "not-started"))
    await until(lambda: not is_running(amon.book))
    (row,) = job_in(amon.book, ident)[1]
    if passphrase:
        assert (row.state, kept(ground, "desy")) == ("not-started", "")
        assert "has a passphrase and here is no terminal to type it at; next: ssh-add the key" in row.text
    else:
        assert (row.state, kept(ground, "desy")) == ("done", "wiped\n")


async def test_a_courier_outlives_a_restart_of_the_server(ground: Ground, amon: Amon) -> None:
    await ground.member("desy")
    ident = await queued(amon, "odd keep one")
    await until(lambda: is_held(amon.book.with_name(f"held-{ident}")))
    await ground.server.restart()
    await back(ground, "desy")
    await until(lambda: states(amon, ident) == {"desy": "done"}, 40)
    assert kept(ground, "desy") == "one\n"
    await until(lambda: not is_running(amon.book))
    assert log_of(amon.book).read_text().count("taken up") == 1  # by the one that was there before


async def test_the_jobs_of_another_account_are_not_this_couriers(ground: Ground, amon: Amon) -> None:
    await ground.member("desy")
    ident = await queued(amon, "odd keep one")
    await until(lambda: is_running(amon.book))
    kill_courier(amon)
    async with in_pipe("--config", str(ground.console(BOB).config), "courier", folder=amon.folder) as courier:
        assert await courier.ended(40) == 0
        await courier.wait_for("nothing is queued any more")
    assert states(amon, ident) == {"desy": "pending"}


async def test_a_courier_without_a_server_tries_again_later_and_lets_what_is_too_late_expire(
    ground: Ground, amon: Amon
) -> None:
    job = KeptJob("01ARZ3NDEKTSV4RRFFQ69G7Q2K", ALICE, "odd keep one", "all", ("cern", "desy"), 1.0, 30.0, 5.0)
    async with Ledger.open(amon.book) as ledger:
        await ledger.begin(replace(job, queue_until=SystemClock().time() + 0.5, confirmed=True))
        await ledger.note([KeptRow(job.id, "cern", "done", "kept", None, True, asked=True)])
        setup = replace(ground.console(), ledger=amon.book)
        setup = replace(setup, settings=replace(setup.settings, port=1))
        waits: list[float] = []

        async def sleep(seconds: float) -> None:
            waits.append(seconds)
            await asyncio.sleep(0.1)

        async with asyncio.timeout(30):
            await deliver(setup, sleep)
        assert waits
        assert waits[:5] == [5.0, 10.0, 20.0, 40.0, 60.0][: len(waits)]
        assert [(row.site, row.state) for row in await ledger.rows(job.id)] == [("cern", "done"), ("desy", "expired")]


@pytest.mark.parametrize("words", [("run", "--queue-until", "1h", "--yes", "all", "odd keep one"), ("job", "--follow")])
async def test_a_job_is_taken_back_from_an_amon_that_holds_it_elsewhere(
    ground: Ground, amon: Amon, words: tuple[str, ...]
) -> None:
    await ground.member("desy")
    if words[0] == "job":
        ident = await queued(amon, "odd keep one")
        await until(lambda: is_held(amon.book.with_name(f"held-{ident}")))
        kill_courier(amon)
        await until(lambda: not is_held(amon.book.with_name(f"held-{ident}")))
        words = ("job", ident, "--follow")
    async with amon(*words) as program:
        await until(lambda: bool(known_ids(amon.book)))
        ident = known_ids(amon.book)[0]
        await until(lambda: is_held(amon.book.with_name(f"held-{ident}")))
        _, code = await amon.done("job", ident, "--cancel")
        assert code == 15
        assert await program.ended() == 15
    agent = await back(ground, "desy")
    assert (states(amon, ident), agent.node.dispatch.handled) == ({"desy": "not-started"}, 0)
