"""`amon run`, end to end: real agents on a real server, every way a site can end, and what one is told of it."""

import asyncio
import json
from collections.abc import Sequence

import pytest

from admin_console.report import JsonFace, job_document
from admin_console.wish import NobodyMeant, Rolling
from amon.job import ExitCode
from amon.wire import Ended, Payload, Request
from tests.admin_console.ground import ALICE, BOB, ODD, SERVERS, Ground, Person, noted, pipe, said, states
from tests.admin_console.programs import in_pipe

FAILS = "[instance.odd.settings]\nfails = true\n"


def kept(ground: Ground, site: str) -> str:
    """What `odd keep` has written down there."""
    return "".join(path.read_text() for path in (ground.folder / site / "state").rglob("kept"))


@pytest.mark.parametrize("ground", SERVERS, indirect=True)
async def test_all_sites_answer_and_the_exit_code_is_zero(ground: Ground) -> None:
    await ground.site("cern")
    await ground.site("fnal")
    face = pipe()
    report = await ground.run("all", "odd echo hello", face=face)
    assert states(report) == {"cern": "done", "fnal": "done"}
    assert report.exit == ExitCode.all_done
    assert sorted(said(face).splitlines()) == ["2 sites: 2 done", "cern: done: hello", "fnal: done: hello"]


async def test_every_site_ends_in_its_own_state_and_the_worst_decides_the_exit_code(ground: Ground) -> None:
    await ground.site("cern")
    await ground.site("fnal", FAILS)
    await ground.site("kek", policy=f'observer = ["{BOB}"]')
    await ground.site("ral", "[instance.uptime]\n")  # not even installed here: no `odd` to be asked
    await ground.false_site("mute")
    await ground.member("away")
    face = pipe()
    report = await ground.run("all", "odd try", face=face, accept_by=0.5)
    assert states(report) == {
        "cern": "done", "fnal": "failed", "kek": "refused", "ral": "invalid", "mute": "silent", "away": "not-here",
    }  # fmt: skip
    assert report.exit == ExitCode.failed
    assert "fnal: failed\n    the disk is full\n    first line\n    second line\n" in said(face)
    assert said(face).endswith("6 sites: 1 done, 1 failed, 1 refused, 1 invalid, 1 not-here, 1 silent\n")


@pytest.mark.parametrize(
    ("line", "code"), [("odd deny", ExitCode.refused), ("odd tri", ExitCode.refused), ("odd try", ExitCode.all_done)]
)
async def test_what_all_sites_make_of_it_is_the_exit_code(ground: Ground, line: str, code: ExitCode) -> None:
    await ground.site("cern")
    assert (await ground.run("all", line)).exit == code


async def test_a_site_that_is_offline_costs_no_waiting(ground: Ground) -> None:
    await ground.site("cern")
    await ground.member("away")
    async with asyncio.timeout(8):
        report = await ground.run("all", "odd try", deadline=60, accept_by=60)
    assert states(report) == {"away": "not-here", "cern": "done"}
    assert report.exit == ExitCode.no_answer


async def test_what_takes_longer_than_the_deadline_is_still_running(ground: Ground) -> None:
    await ground.site("cern")
    report = await ground.run("cern", "odd hang", deadline=0.5)
    assert states(report) == {"cern": "running"}
    assert report.exit == ExitCode.running


async def test_json_is_one_document_with_the_closed_book(ground: Ground) -> None:
    await ground.site("cern")
    await ground.member("away")
    face = pipe()
    report = await ground.run("all", "odd disks", face=JsonFace(face.out, face.notes))
    document = json.loads(said(face))
    assert document == job_document(report)
    assert (document["line"], document["target"], document["names"]) == ("odd disks", "all", ["away", "cern"])
    assert document["counts"] == {"done": 1, "not-here": 1}
    assert document["exit"] == 11
    away, cern = document["sites"]
    assert (away["site"], away["state"], away["data"]) == ("away", "not-here", None)
    assert cern["data"] == [{"name": "/", "size": 64 * 2**30}, {"name": "/data", "size": 2 * 2**40}]
    assert cern["columns"][1] == {"name": "size", "unit": "B", "about": "what it holds"}
    assert cern["seconds"] >= 0


async def test_a_dry_run_changes_nothing_and_asks_nobody(ground: Ground) -> None:
    for name in ("cern", "fnal"):
        await ground.site(name)
    person = Person(None)
    report = await ground.run("all", "odd keep treasure", face=person, dry_run=True)
    assert states(report) == {"cern": "done", "fnal": "done"}
    assert "would keep treasure" in said(person)
    assert person.questions == []
    assert kept(ground, "cern") == kept(ground, "fnal") == ""


async def test_a_change_on_several_sites_is_asked_for_with_plans_and_the_list_of_sites(ground: Ground) -> None:
    for name in ("cern", "fnal"):
        await ground.site(name)
    person = Person("y\n")
    report = await ground.run("all", "odd keep treasure", face=person)
    assert person.questions == ["odd keep treasure on 2 sites: cern, fnal? [y/N] "]
    assert "cern: would keep treasure" in noted(person)
    assert states(report) == {"cern": "done", "fnal": "done"}
    assert report.exit == ExitCode.all_done
    assert kept(ground, "cern") == kept(ground, "fnal") == "treasure\n"


@pytest.mark.parametrize("answer", ["n\n", "\n", "", "2\n", "yes please\n"])
async def test_anything_but_yes_is_no(ground: Ground, answer: str) -> None:
    for name in ("cern", "fnal"):
        await ground.site(name)
    report = await ground.run("all", "odd keep treasure", face=Person(answer))
    assert states(report) == {"cern": "not-started", "fnal": "not-started"}
    assert report.exit == ExitCode.cancelled
    assert kept(ground, "cern") == kept(ground, "fnal") == ""


async def test_for_many_sites_their_number_has_to_be_typed(ground: Ground) -> None:
    def plan(request: Request) -> Sequence[Payload]:
        from amon.wire import NeedsWord

        return [Ended(request.id, "done", "did it")] if request.confirmed else [NeedsWord(request.id, "change", "plan")]

    for number in range(6):
        await ground.false_site(f"site-{number}", plan)
    hasty = Person("y\n")
    assert (await ground.run("all", "odd keep x", face=hasty)).exit == ExitCode.cancelled
    assert hasty.questions[0].endswith("[type 6 to do it] ")
    assert (await ground.run("all", "odd keep x", face=Person("6\n"))).exit == ExitCode.all_done


async def test_a_yes_for_the_first_of_a_batch_is_asked_for_with_all_sites_that_it_is_for(ground: Ground) -> None:
    for name in ("cern", "fnal", "kek"):
        await ground.site(name)
    person = Person("y\n")
    report = await ground.run("all", "odd keep treasure", face=person, rolling=Rolling(batch="1"))
    assert person.questions == ["odd keep treasure on 3 sites: cern, fnal, kek? [y/N] "]
    assert "the same is for 2 sites whose turn comes later" in noted(person)
    assert states(report) == dict.fromkeys(("cern", "fnal", "kek"), "done")


async def test_one_site_is_changed_without_a_question(ground: Ground) -> None:
    await ground.site("cern")
    person = Person("n\n")
    report = await ground.run("cern", "odd keep treasure", face=person)
    assert (states(report), person.questions) == ({"cern": "done"}, [])
    assert kept(ground, "cern") == "treasure\n"


async def test_yes_given_before_is_not_asked_for(ground: Ground) -> None:
    for name in ("cern", "fnal"):
        await ground.site(name)
    report = await ground.run("all", "odd keep treasure", yes=True)
    assert states(report) == {"cern": "done", "fnal": "done"}
    assert kept(ground, "fnal") == "treasure\n"


async def test_without_a_terminal_several_sites_are_not_changed(ground: Ground) -> None:
    for name in ("cern", "fnal"):
        await ground.site(name)
    face = pipe()
    report = await ground.run("all", "odd keep treasure", face=face)
    assert report.exit == ExitCode.refused
    assert "nobody is here to say yes: nothing was done; next: --yes" in noted(face)
    assert states(report) == {"cern": "not-started", "fnal": "not-started"}
    assert kept(ground, "cern") == ""


async def test_one_unknown_name_and_nothing_is_sent_to_the_others(ground: Ground) -> None:
    await ground.site("cern")
    await ground.site("fnal")
    with pytest.raises(NobodyMeant, match=r"no site named 'fnla' \(did you mean fnal\?\); nothing was sent"):
        await ground.run("cern,fnla", "odd keep treasure", yes=True)
    assert kept(ground, "cern") == ""


async def test_a_target_that_fits_nobody_sends_nothing(ground: Ground) -> None:
    await ground.site("cern")
    with pytest.raises(NobodyMeant, match="health:crit fits none of 1 sites; nothing was sent"):
        await ground.run("health:crit", "odd keep treasure")
    assert kept(ground, "cern") == ""


async def test_a_room_without_sites_says_how_to_get_some(ground: Ground) -> None:
    with pytest.raises(NobodyMeant, match="has no sites yet; next: amon enroll SITE"):
        await ground.run("all", "status")


async def test_tags_and_live_health_choose_sites(ground: Ground) -> None:
    await ground.site("cern", tags='tags = { tier = "0" }')
    await ground.site("fnal", "[instance.odd.settings]\nwell = false\n", tags='tags = { tier = "1" }')
    assert states(await ground.run("tag:tier=1", "odd try")) == {"fnal": "done"}
    assert states(await ground.run("not tag:tier=1", "odd try")) == {"cern": "done"}
    assert states(await ground.run("health:crit", "odd try")) == {"fnal": "done"}


def hostile(request: Request) -> Sequence[Payload]:
    text = "\x1b[2J\x1b]0;owned\x07[bold red]money[/] \u202egnp.exe\r\nsecond \x9b31m line"
    columns = (("[red]name\x1b[1m", "\x1b[5mB", "about"),)
    return [Ended(request.id, "done", text, [{"[red]name\x1b[1m": "\x1b[31mx", "deep": None}], columns)]


async def test_what_a_site_says_cannot_command_the_terminal(ground: Ground) -> None:
    await ground.false_site("evil", hostile)
    face = pipe()
    report = await ground.run("evil", "status", face=face)
    for text in (said(face), json.dumps(job_document(report))):
        assert not any(control in text for control in "\x1b\x9b\x07\r\u202e")
    assert "[bold red]money[/]" in said(face)


async def test_an_answer_from_somebody_who_was_not_asked_is_listed_apart(ground: Ground) -> None:
    jobs: list[str] = []

    def remember(request: Request) -> Sequence[Payload]:
        jobs.append(request.id)
        return [Ended(request.id, "done", "first"), Ended(request.id, "failed", "second")]

    await ground.false_site("twice", remember)
    await ground.false_site("mute")
    face = pipe()
    report = await ground.run("all", "status", face=face, accept_by=0.5)
    assert states(report) == {"mute": "silent", "twice": "done"}
    assert job_document(report)["unexpected"] == [
        {"site": "twice", "state": "failed", "why": "had reported done", "text": "second"}
    ]
    assert "unexpected from" in said(face)


async def test_a_person_without_a_role_is_refused_by_every_site(ground: Ground) -> None:
    await ground.site("cern", policy=f'admin = ["{ALICE}"]')
    report = await ground.run("all", "odd try", jid=BOB)
    assert states(report) in ({"cern": "refused"}, {"cern": "not-here"})


async def test_our_own_options_behind_the_target_are_explained(ground: Ground) -> None:
    from admin_console.fleet import hint_at_options

    await ground.site("cern", ODD)
    face = pipe()
    for option in ("--timeout", "--sign"):
        hint_at_options(face, await ground.run("all", f"odd try {option} 5", face=face))
        assert f"if {option} was meant for amon: its options stand before the target" in noted(face)


@pytest.mark.parametrize(
    "words",
    [
        ("--dry-run", "all", "odd", "keep", "x"),
        ("all", "--dry-run", "odd", "keep", "x"),
        ("all", "odd", "keep", "--dry-run", "x"),
        ("all", "odd", "keep", "x", "--dry-run"),
        ("all", "odd keep x --dry-run"),
    ],
)
async def test_a_dry_run_may_be_asked_for_anywhere_in_the_line(ground: Ground, words: tuple[str, ...]) -> None:
    await ground.site("cern")
    config = str(ground.console().config)
    async with in_pipe("--config", config, "run", *words, folder=ground.folder) as program:
        assert await program.ended() == ExitCode.all_done, program.text
    assert "would keep x" in program.text
    assert kept(ground, "cern") == ""
