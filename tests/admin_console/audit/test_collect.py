"""`amon audit` against real agents, and against accounts that say they are some: one table, and whose past changed."""

import csv
import io
import json
import sqlite3
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from admin_console.audit.collect import AuditWish
from admin_console.audit.heads import Heads
from admin_console.audit.show import Style, run_audit, run_forget
from admin_console.cli.main import cli
from admin_console.plain import PlainFace
from amon.access import AuditRecord
from amon.store.chain import append
from amon.target import parse
from amon.wire import Ended, Payload, Request
from site_agent.agent import Agent
from tests.admin_console.ground import ALICE, BOB, OPS, SERVERS, Ground, noted, pipe, said
from tests.admin_console.programs import in_pipe, on_terminal

LINE = AuditRecord(1_763_643_042.0, "main", BOB, None, "01J", "host status", True, "admin bob", "done")


async def audit(ground: Ground, target: str = "all", style: Style = "table", **wish: Any) -> tuple[int, PlainFace]:
    """As the command does it; what it remembers stays beside the ground."""
    face = pipe()
    heads = Heads(ground.folder / "heads.json")
    code = await run_audit(ground.console(), face, AuditWish(parse(target), timeout=10, **wish), style, heads)
    return code, face


def tamper(ground: Ground, site: str, *statements: str, lines: int = 0) -> None:
    """Somebody who owns the machine: the guards of the table do not stop him."""
    with sqlite3.connect(ground.folder / site / "state" / "journal.db", timeout=10) as db:
        db.execute("PRAGMA recursive_triggers = OFF")
        for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            db.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            db.execute(statement)
        for _ in range(lines):
            append(db, replace(LINE, outcome="refused"))


async def fill(agent: Agent, count: int) -> None:
    for _ in range(count):
        await agent.node.journal.audit(LINE)


@pytest.mark.parametrize("ground", SERVERS, indirect=True)
async def test_all_sites_are_one_table_sorted_by_time_and_who_is_silent_is_named(ground: Ground) -> None:
    await ground.site("cern")
    await ground.site("fnal")
    await ground.member("ral")
    await ground.run("cern", "whoami")
    await ground.run("fnal", "version")
    await ground.run("cern or fnal", "nonsense")
    code, face = await audit(ground)
    assert code == 11
    rows = [line.split() for line in said(face).splitlines() if ALICE in line]
    assert [(row[0], row[4]) for row in rows][:2] == [("cern", "whoami"), ("fnal", "version")]
    assert sorted(row[0] for row in rows if "nonsense" in row) == ["cern", "fnal"]
    assert [row[1:3] for row in rows] == sorted(row[1:3] for row in rows)
    assert "cern: sound from the first to line 2, seen for the first time" in said(face)
    assert "3 sites: 2 sound, 1 without audit; 4 lines" in said(face)
    assert noted(face).startswith("ral: no audit: not-here")


async def test_more_lines_than_go_into_one_answer_are_paged_through(ground: Ground) -> None:
    agent = await ground.site("cern")
    await fill(agent, 450)
    code, face = await audit(ground, "cern", verify=True, count=300)
    assert code == 0
    assert "cern: sound from the first to line 450, seen for the first time" in said(face)
    assert said(face).count("host status") == 300
    code, face = await audit(ground, "cern", since=36_000 * 86_400.0)
    assert said(face).count("host status") == 450
    assert "and as it was on" in said(face)


async def test_each_look_goes_on_from_the_last_one(ground: Ground) -> None:
    agent = await ground.site("cern")
    await fill(agent, 10)
    assert (await audit(ground))[0] == 0
    await fill(agent, 250)
    code, face = await audit(ground, count=5)
    assert code == 0
    assert "cern: sound from line 11 to line 261, and as it was on" in said(face)


@pytest.mark.parametrize(
    ("statements", "lines", "told"),
    [
        (("UPDATE audit SET outcome = 'refused' WHERE seq = 3",), 0, "broken: line 3 is not what was"),
        (("DELETE FROM audit WHERE seq = 3",), 0, "broken: line 3 is missing"),
        (("DELETE FROM audit WHERE seq > 5",), 0, "cut off: it ends with line"),
        (("DELETE FROM audit WHERE seq > 5",), 20, "rewritten: line 9 is another than on"),
        (("DELETE FROM audit WHERE seq < 3",), 0, "broken: lines 1 to 2 are missing"),
        (("DELETE FROM audit", "UPDATE audit_anchor SET chain = zeroblob(32), hash = zeroblob(32)"), 20,
         "another chain than that of line 9, seen on"),
    ],
)  # fmt: skip
async def test_a_chain_that_was_tampered_with_is_told_makes_exit_code_1_and_stays_told(
    ground: Ground, statements: tuple[str, ...], lines: int, told: str
) -> None:
    agent = await ground.site("cern")
    await ground.site("fnal")
    await fill(agent, 9)
    assert (await audit(ground, verify=True))[0] == 0
    tamper(ground, "cern", *statements, lines=lines)
    for _ in range(2):
        code, face = await audit(ground, verify=True)
        assert code == 1
        assert f"cern: {told}" in noted(face)
        assert ("before --forget the site begins a new one" in noted(face)) is told.startswith("broken:")
        assert "1 sound, 1 BROKEN" in said(face)
        assert "fnal: sound" in said(face)
    heads = Heads(ground.folder / "heads.json")
    assert await run_forget(ground.console(), parse("cern"), heads) == (
        "forgotten: cern; what they show next is taken as it is"
    )
    code, face = await audit(ground)
    assert ("seen for the first time" in said(face)) is (code == 0)


async def test_who_and_refused_pick_lines_and_verify_looks_at_all_the_same(ground: Ground) -> None:
    agent = await ground.site("cern")
    await fill(agent, 150)
    await ground.run("cern", "whoami")
    await ground.run("cern", "whoami", jid=BOB)
    _, face = await audit(ground, who=BOB, refused=True)
    assert said(face).splitlines()[1].split()[3:7] == [BOB, "whoami", "refused", "152"]
    assert "cern: not verified; the site picked these lines, --verify looks at all" in said(face)
    _, face = await audit(ground, who=ALICE, verify=True)
    assert "  whoami  " in said(face)
    assert "host status" not in said(face)
    assert "cern: sound from the first to line 153" in said(face)


async def test_json_and_csv_are_for_programs(ground: Ground) -> None:
    agent = await ground.site("cern")
    await agent.node.journal.audit(LINE)
    await agent.node.journal.audit(AuditRecord(2.0, "main", "=cmd@x", None, "1", "-1+1 \x1b[2J", False, "", "refused"))
    _, face = await audit(ground, style="json")
    document = json.loads(said(face))
    assert document["exit"] == 0
    assert document["sites"][0]["head"]["seq"] == 2
    assert [line["seq"] for line in document["lines"]] == [2, 1]
    assert document["lines"][1]["asker"] == BOB
    _, face = await audit(ground, style="csv", count=2, since=36_000 * 86_400.0)
    rows = list(csv.DictReader(io.StringIO(said(face))))
    (odd,) = [row for row in rows if row["outcome"] == "refused"]
    assert (odd["asker"], odd["what"]) == ("'=cmd@x", "'-1+1 \ufffd[2J")


async def test_a_site_that_answers_with_anything_else_is_told_and_shown_harmless(ground: Ground) -> None:
    def page(request: Request, **lies: Any) -> list[Payload]:
        entry = {
            "seq": 1, "time": 1e15, "account": "", "asker": "\x1b[2Jroot\u202e", "room": None, "id": "", "line": "a\nb",
            "allowed": True, "rule": "", "outcome": "", "key": "", "effect": "", "hash": "ab" * 32, "digest": "",
        }  # fmt: skip
        data: dict[str, Any] = {
            "chain": "ab" * 32, "anchor_seq": 0, "anchor_hash": "ab" * 32, "head_seq": 1, "head_hash": "ab" * 32,
            "before_seq": 0, "before_hash": "ab" * 32, "more": False, "lines": [entry],
        }  # fmt: skip
        return [Ended(request.id, "done", "", data | lies)]

    await ground.false_site("evil", lambda request: page(request))
    await ground.false_site("vast", lambda request: page(request, lines=[{}] * 1500))
    await ground.false_site("text", lambda request: [Ended(request.id, "done", "\x1b[2Jall sound")])
    code, face = await audit(ground)
    assert code == 1
    assert noted(face).splitlines()[:3] == [
        "evil: broken: line 1 is not what was written after line 0",
        "text: its answer is no audit",
        "vast: its answer is no audit",
    ]
    assert "\x1b" not in said(face) + noted(face)


async def test_a_site_that_promises_lines_for_ever_is_left_alone(ground: Ground) -> None:
    data = {
        "chain": "ab" * 32, "anchor_seq": 0, "anchor_hash": "ab" * 32, "head_seq": 2**50, "head_hash": "ab" * 32,
        "before_seq": 0, "before_hash": "ab" * 32, "more": True, "lines": [],
    }  # fmt: skip
    asked: list[str] = []

    def answer(request: Request) -> list[Payload]:
        asked.append(request.line)
        return [Ended(request.id, "done", "", data)]

    await ground.false_site("evil", answer)
    code, face = await audit(ground, verify=True)
    assert code == 1
    assert f"evil: it gives no line after 0, though its last is {2**50}" in noted(face)
    assert len(asked) <= 2


async def test_what_is_remembered_and_cannot_be_read_stops_the_look(ground: Ground, tmp_path: Path) -> None:
    from amon.errors import Failed

    (ground.folder / "heads.json").write_text("{")
    await ground.site("cern")
    with pytest.raises(Failed, match="cannot be read"):
        await audit(ground)


def test_a_line_that_sites_read_is_made_of_what_is_wished() -> None:
    wish = AuditWish(parse("all"), since=3600.0, who="a b@x", refused=True)
    assert wish.line() == 'audit 10000 since=3600s who="a b@x" --refused'
    assert wish.line(7) == 'audit 1000000 after=7 who="a b@x" --refused'
    assert AuditWish(parse("all"), who="x", verify=True).line() == "audit 100"


async def test_the_program_itself_shows_verifies_remembers_and_forgets(ground: Ground) -> None:
    agent = await ground.site("cern")
    await fill(agent, 9)
    words = ("--config", str(ground.console().config), "audit")
    async with on_terminal(*words, folder=ground.folder) as program:
        assert await program.ended() == 0
        await program.wait_for("cern: sound from the first to line 9, seen for the first time")
    assert "host status" in program.text
    kept = ground.folder / "amon" / OPS / "audit_heads.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    tamper(ground, "cern", "DELETE FROM audit WHERE seq > 5", lines=20)
    async with in_pipe(*words, "--verify", folder=ground.folder) as piped:
        assert await piped.ended() == 1
    assert "cern: rewritten: line 9 is another than on" in piped.text
    assert "if you know why: amon audit SITE --forget" in piped.text
    async with in_pipe(*words, "cern", "--forget", folder=ground.folder) as forgets:
        assert await forgets.ended() == 0
    async with in_pipe(*words, "--json", folder=ground.folder) as again:
        assert await again.ended() == 0
    assert '"said": "sound from' in again.text


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--json", "--csv"], "--json and --csv do not go together"),
        (["--since", "0s"], "must be more than nothing and at most a hundred years"),
        (["--since", "yesterday"], "yesterday"),
        (["--count", "0"], "0 is not in the range"),
        (["--timeout", "2d"], "at most a day"),
    ],
)
def test_options_that_make_no_sense_are_usage_errors(words: list[str], told: str) -> None:
    result = CliRunner().invoke(cli, ["--config", "/nowhere/console.toml", "audit", *words], prog_name="amon")
    assert result.exit_code == 2
    assert told in result.stderr


def test_a_look_back_of_days_is_taken() -> None:
    result = CliRunner().invoke(cli, ["--config", "/nowhere/console.toml", "audit", "cern", "--since", "2d"])
    assert result.exit_code == 1
    assert "the console has no configuration" in result.stderr
