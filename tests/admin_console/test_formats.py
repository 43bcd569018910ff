"""Results for programs: lines of JSON, CSV, names; nothing but data on standard output, and nothing that does harm."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from admin_console.formats import CsvFace, LinesFace, QuietFace, book_csv, csv_of, defused
from admin_console.plain import PlainFace
from admin_console.program import Output, face_of
from admin_console.report import JsonFace, job_document
from admin_console.tables import Grid, Listing
from admin_console.wish import Report, Wish
from amon.job import Book, ExitCode
from amon.runtime.fleet import Site
from amon.runtime.gather import Job
from amon.target import parse
from amon.text import hidden
from amon.wire import HealthReport
from amon.wire import Output as Said
from amon.words import Answer, Column, Outcome, State
from tests.admin_console.ground import Ground, noted, said
from tests.admin_console.programs import AMON, in_pipe, on_terminal
from tests.admin_console.test_hostile_words import EVIL

DISKS = (Column("name"), Column("size", "B"))
LISTING = Listing(
    "people", [{"standing": "owner", "address": "a@b"}], Grid(("standing", "address"), (("owner", "a@b"),)),
    ("room is safe",), {"room": "ops@rooms", "safe": True}, ("=bad",),
)  # fmt: skip


def made(face: type[PlainFace]) -> PlainFace:
    return face(io.StringIO(), io.StringIO())


def outcome(site: str, state: State = State.done, answer: Answer | None = None) -> Outcome:
    return Outcome(site, state, answer or Answer("ok"), 0.5)


def report(*outcomes: Outcome, silent: tuple[str, ...] = ()) -> Report:
    names = [one.site for one in outcomes] + list(silent)
    book = Book("job", names, 0.0)
    for one in outcomes:
        book.ended(one, 1.0)
    book.tick(100.0)
    return Report(Wish(parse("all"), "disks"), Job("job", "disks", tuple(names)), book, ExitCode.failed)


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_every_line_is_a_site_and_the_last_one_the_summary() -> None:
    face = made(LinesFace)
    face.report(report(outcome("cern"), outcome("fnal", State.failed, Answer("full")), silent=("kek",)))
    *sites, last = (json.loads(line) for line in said(face).splitlines())
    assert {one["site"]: one["state"] for one in sites} == {"cern": "done", "fnal": "failed", "kek": "silent"}
    assert last["summary"]["counts"] == {"done": 1, "failed": 1, "silent": 1}
    assert last["summary"]["exit"] == 10
    assert "sites" not in last["summary"]


def test_a_site_that_is_put_right_gets_a_second_line() -> None:
    face, first = made(LinesFace), report(silent=("cern",))
    face.report(first)
    first.book.ended(outcome("cern"), 200.0)
    face.report(first)
    states = [one.get("state") for one in map(json.loads, said(face).splitlines())]
    assert states == ["silent", None, "done", None]


def test_a_row_of_csv_is_a_record_and_the_columns_are_those_of_all_answers() -> None:
    disks = Answer("a\nb", [{"name": "/", "size": 64}, {"name": "/data", "size": 2.5}], DISKS)
    load = Answer("low", {"load": 0.25, "text": "low", "parts": {"a": [True, None]}, "up": True},
                  (Column("load"), Column("text"), Column("parts"), Column("up")))  # fmt: skip
    ended = report(outcome("cern", answer=disks), outcome("fnal", answer=load), outcome("kek", State.failed))
    text = book_csv([ended.book[name] for name in ("cern", "fnal", "kek")])
    assert text.splitlines()[0] == "site,state,seconds,late,text,name,size,load,data.text,parts,up"
    first, second, third, fourth = rows(text)
    assert (first["site"], first["name"], first["size"], first["load"]) == ("cern", "/", "64", "")
    assert (second["name"], second["size"]) == ("/data", "2.5")
    assert (third["text"], third["load"], third["data.text"]) == ("low", "0.25", "low")
    assert (third["parts"], third["up"]) == ('{"a": [true, null]}', "true")
    assert (fourth["site"], fourth["state"], fourth["text"]) == ("kek", "failed", "ok")


def test_csv_is_that_of_the_rfc() -> None:
    assert csv_of(("a", "b"), [('say "x"', "1,2"), ("two\nlines", None)]) == (
        'a,b\r\n"say ""x""","1,2"\r\n"two\nlines",\r\n'
    )


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1+1", "@SUM(A1)", " =1", "\t=1", "\n=1", "＝1", "＠x"])
def test_no_sheet_computes_what_a_site_said(text: str) -> None:
    assert defused(text) == f"'{text}"
    (row,) = rows(csv_of(("said", text), [(text, -5)]))
    assert row["said"].startswith("'")
    assert list(row)[1].startswith("'") or not list(row)[1].lstrip().startswith(("=", "+", "-", "@"))
    assert list(row.values())[1] == "-5", "a number is none of a site's texts"


def test_sites_that_name_many_columns_do_not_make_a_file_of_empty_cells() -> None:
    answers = [
        outcome(f"s{site}", answer=Answer("", [{}] * 200, tuple(Column(f"c{site}-{one}") for one in range(64))))
        for site in range(40)
    ]
    text = book_csv(report(*answers).book.rows())
    assert text.splitlines()[0] == "site,state,seconds,late,text,data"
    assert len(text) < 1_000_000


def test_quiet_names_only_what_did_not_end_well() -> None:
    face = made(QuietFace)
    face.report(report(outcome("cern"), outcome("fnal", State.failed), silent=("kek",)))
    assert sorted(said(face).split()) == ["fnal", "kek"]
    face = made(QuietFace)
    face.report(report(outcome("cern")))
    assert said(face) == ""


@pytest.mark.parametrize(
    ("face", "expected"),
    [
        (PlainFace, "standing  address\nowner     a@b\nroom is safe\n"),
        (LinesFace, '{"standing": "owner", "address": "a@b"}\n{"summary": {"room": "ops@rooms", "safe": true}}\n'),
        (CsvFace, "standing,address\r\nowner,a@b\r\n"),
        (QuietFace, "=bad\n"),
    ],
)
def test_a_list_that_is_no_book_in_every_format(face: type[PlainFace], expected: str) -> None:
    shown = made(face)
    shown.listing(LISTING)
    assert said(shown) == expected


def test_a_list_as_one_document() -> None:
    face = made(JsonFace)
    face.listing(LISTING)
    assert json.loads(said(face)) == {
        "room": "ops@rooms", "safe": True, "people": [{"standing": "owner", "address": "a@b"}]
    }  # fmt: skip


def test_the_fleet_in_every_format() -> None:
    health = HealthReport("crit", 1, (("odd/disk", "crit", "full"),), 0, ("odd",))
    sites = [Site("cern", "cern@x", True, health=HealthReport("ok", 1)), Site("fnal", "fnal@x", True, health=health)]
    lines, sheet, quiet = made(LinesFace), made(CsvFace), made(QuietFace)
    for face in (lines, sheet, quiet):
        face.fleet(sites, 0.0)
    assert [json.loads(line).get("site") for line in said(lines).splitlines()] == ["fnal", "cern", None]
    assert json.loads(said(lines).splitlines()[-1]) == {"summary": {"counts": {"ok": 1, "crit": 1}}}
    first, second = rows(said(sheet))
    assert (first["site"], first["health"], first["bad"], first["modules"]) == ("fnal", "crit", "odd/disk=full", "odd")
    assert (second["site"], second["online"]) == ("cern", "true")
    assert said(quiet) == "fnal\n"


def test_what_a_session_says_is_a_line_as_it_comes_and_kept_for_a_document() -> None:
    lines, document, sheet, quiet = (
        made(LinesFace),
        JsonFace(io.StringIO(), io.StringIO()),
        made(CsvFace),
        made(QuietFace),
    )
    for face in (lines, document, sheet, quiet):
        assert isinstance(face, LinesFace | JsonFace | CsvFace | QuietFace)
        face.output("cern", Said("0" * 26, 1, ({"line": EVIL},), EVIL, missed=3))
    (line,) = map(json.loads, said(lines).splitlines())
    assert (line["site"], line["seq"], line["items"], line["missed"]) == ("cern", 1, [{"line": EVIL}], 3)
    assert (said(sheet), said(quiet)) == ("", "")
    document.report(report(outcome("cern")))
    assert json.loads(said(document))["output"][0]["missed"] == 3


def test_a_document_of_a_long_session_stays_bounded() -> None:
    face = JsonFace(io.StringIO(), io.StringIO())
    for number in range(1, 3000):
        face.output("cern", Said("0" * 26, number, (), "x"))
    face.report(report(outcome("cern")))
    kept = json.loads(said(face))["output"]
    assert (len(kept), kept[-1]["seq"]) == (1000, 2999)


def test_large_parts_of_sessions_do_not_fill_a_document_either() -> None:
    face = JsonFace(io.StringIO(), io.StringIO())
    for number in range(1, 401):
        face.output("cern", Said("0" * 26, number, ("x" * 60_000,), "x"))
    face.report(report(outcome("cern")))
    text = said(face)
    assert len(json.dumps(json.loads(text)["output"])) <= 16 * 2**20
    assert json.loads(text)["output"][-1]["seq"] == 400


@pytest.mark.parametrize("kind", [LinesFace, CsvFace, QuietFace])
def test_nothing_that_a_site_chooses_reaches_a_terminal_or_a_sheet_as_it_is(kind: type[PlainFace]) -> None:
    face, column = made(kind), Column(EVIL, EVIL, EVIL)
    face.report(
        report(outcome(EVIL, answer=Answer(EVIL, [{EVIL: EVIL, "deep": [[[EVIL]]]}], (column,))), silent=(f"{EVIL}b",))
    )
    face.fleet([Site(EVIL, EVIL, True, EVIL, EVIL, EVIL, tags={EVIL: EVIL})], 0.0)
    assert [c for c in said(face) if hidden(c) and c not in "\r\n"] == []
    assert "[bold]{0.__class__}%s" in said(face)


def test_the_document_is_as_it_was() -> None:
    keys = set(job_document(report(outcome("cern"))))
    assert keys == {"id", "line", "target", "names", "dry_run", "sites", "counts", "summary", "unexpected", "exit"}


# The program itself


def run(*words: str, shell: str = '"$@"', env: dict[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["bash", "-c", shell, "bash", *AMON, *words], capture_output=True, text=True, timeout=30, check=False,
        env={**os.environ, **(env or {})},
    )  # fmt: skip


def test_a_trouble_is_told_to_a_program_in_its_own_words() -> None:
    for words in (("sites", "-o", "json"), ("sites", "--json"), ("run", "-o", "jsonl", "all", "status"),
                  ("run", "all", "status", "--json"), ("room", "show", "--json"), ("audit", "--json")):  # fmt: skip
        done = run("--config", "/nowhere/console.toml", *words)
        document = json.loads(done.stdout)
        assert (done.returncode, document["exit"]) == (1, 1), words
        assert document["error"].startswith("the console has no configuration: /nowhere/console.toml")
        assert done.stderr.startswith("amon: the console has no configuration")


@pytest.mark.parametrize("form", ["table", "csv", "quiet"])
def test_a_trouble_is_no_data(form: str) -> None:
    done = run("--config", "/nowhere/console.toml", "sites", "-o", form)
    assert (done.returncode, done.stdout) == (1, "")


def test_two_formats_at_once_are_none() -> None:
    done = run("sites", "--json", "-o", "csv")
    assert done.returncode == 2
    assert "--json and -o csv do not go together" in done.stderr


@pytest.mark.parametrize("words", [("example",), ("sites",), ("run", "all", "odd", "wipe")])
def test_without_a_standard_output_nothing_is_done_and_it_is_said(words: tuple[str, ...]) -> None:
    done = run("--config", "/nowhere/console.toml", *words, shell='"$@" >&-')
    assert (done.returncode, done.stdout) == (1, "")
    assert (
        done.stderr == "amon: standard output is closed; nothing was done; next: >/dev/null if nobody is to read it\n"
    )


def test_without_the_other_streams_data_stays_data() -> None:
    done = run("--config", "/nowhere/console.toml", "sites", "--json", shell='"$@" <&- 2>&-')
    assert json.loads(done.stdout)["exit"] == 1
    assert done.stderr == ""


def test_colours_go_where_they_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    from admin_console.live import LiveFace

    def coloured(color: str = "auto", **said: str) -> bool:
        for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
            monkeypatch.delenv(name, raising=False)
        for name, value in said.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "stdout", io.StringIO())
        face = face_of(Output(color=color))
        face.grid(Grid(("site", "state"), (("cern", "done"),)))
        assert isinstance(face, LiveFace) == ("\x1b[32m" in said_now(sys.stdout))
        return isinstance(face, LiveFace)

    assert not coloured()
    assert not coloured(TERM="xterm")
    assert coloured(TERM="xterm", FORCE_COLOR="1")
    assert not coloured(TERM="xterm", FORCE_COLOR="1", NO_COLOR="1")
    assert not coloured(TERM="dumb", FORCE_COLOR="1")
    assert coloured("always", TERM="dumb", NO_COLOR="1")
    assert not coloured("never", TERM="xterm", FORCE_COLOR="1")


def said_now(out: Any) -> str:
    return str(out.getvalue())


async def test_one_asks_for_a_format_and_gets_only_data(ground: Ground) -> None:
    await ground.site("cern")
    await ground.member("away")
    config = str(ground.console().config)

    async def out(*words: str) -> tuple[str, int]:
        return await to_end("--config", config, *words, folder=ground.folder)

    text, code = await out("run", "-o", "jsonl", "all", "odd", "disks")
    assert code == 11, text
    *sites, last = map(json.loads, text.splitlines())
    assert sorted(one["site"] for one in sites) == ["away", "cern"]
    assert last["summary"]["exit"] == code == 11
    text, _ = await out("run", "-o", "csv", "all", "odd", "disks")
    assert [(row["site"], row["name"], row["size"]) for row in rows(text) if row["state"] == "done"] == [
        ("cern", "/", str(64 * 2**30)), ("cern", "/data", str(2 * 2**40)),
    ]  # fmt: skip
    assert await out("run", "-o", "quiet", "all", "odd", "disks") == ("away\n", 11)
    assert await out("run", "-o", "quiet", "cern", "odd", "disks") == ("", 0)
    assert await out("sites", "-o", "quiet") == ("away\n", 0)
    text, code = await out("run", "nosuch", "status", "--json")
    assert (json.loads(text)["exit"], code) == (12, 12)
    assert "no site named 'nosuch'" in json.loads(text)["error"]
    text, _ = await out("room", "show", "-o", "csv")
    assert {"standing": "member", "address": "cern@agents.amon.test"} in rows(text)
    text, _ = await out("audit", "cern", "-o", "jsonl")
    assert "sites" in json.loads(text.splitlines()[-1])["summary"]
    assert await out("audit", "-o", "quiet") == ("away\n", 11)


async def to_end(*words: str, folder: Path) -> tuple[str, int]:
    """Standard output alone, and the exit code."""
    import asyncio

    process = await asyncio.create_subprocess_exec(
        *AMON, *words, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE, env={**os.environ, "XDG_CACHE_HOME": str(folder), "XDG_DATA_HOME": str(folder)},
    )  # fmt: skip
    async with asyncio.timeout(30):
        out, _ = await process.communicate()
    return out.decode(), process.returncode or 0


async def test_color_is_an_option_of_the_program(ground: Ground) -> None:
    await ground.site("cern")
    words = ("--config", str(ground.console().config), "sites")
    async with in_pipe(*words, "--color", "always", folder=ground.folder, NO_COLOR="1") as piped:
        assert await piped.ended() == 0
    async with on_terminal(*words, "--color", "never", folder=ground.folder) as grey:
        await grey.ended()
        await grey.wait_for("cern")
    assert "\x1b[32m" in piped.text
    assert "\x1b[" not in grey.text


def test_notes_of_a_face_are_never_data() -> None:
    for kind in (LinesFace, CsvFace, QuietFace, JsonFace):
        face = made(kind)
        face.note("a note")
        assert (said(face), noted(face)) == ("", "a note\n")
