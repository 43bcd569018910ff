"""`amon shell` without a terminal: lines from a pipe, one after the other, and the exit code of the worst."""

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import BinaryIO

from site_agent.agent import Agent
from tests.admin_console.ground import Ground
from tests.admin_console.programs import AMON
from tests.waiting import until

DEFAULTS = ("/usr/bin/env", "--default-signal")  # whoever began the tests in the background has SIGINT ignored


async def shell(ground: Ground, lines: str, *words: str) -> tuple[str, str, int]:
    """Standard output, the rest, and the exit code."""
    process = await asyncio.create_subprocess_exec(
        *AMON, "--config", str(ground.console().config), "shell", *words,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env=environment(ground.folder),
    )  # fmt: skip
    async with asyncio.timeout(30):
        out, notes = await process.communicate(lines.encode())
    return out.decode(), notes.decode(), process.returncode or 0


def environment(folder: Path) -> dict[str, str]:
    names = ("XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME")
    return {**os.environ, **{name: str(folder / "home") for name in names}}


async def test_lines_are_done_one_after_the_other(ground: Ground) -> None:
    for name in ("cern", "fnal"):
        await ground.site(name)
    out, notes, code = await shell(
        ground, "# a remark\n\ntarget all\nodd echo one\n@cern odd echo two\nodd echo three\nexit\nodd echo never\n"
    )
    said = [line for line in out.splitlines() if "done:" in line]
    assert not notes
    assert sorted(said[:2]) == ["cern: done: one", "fnal: done: one"]
    assert said[2] == "cern: done: two"
    assert sorted(said[3:]) == ["cern: done: three", "fnal: done: three"]
    assert (notes, code) == ("", 0)


async def test_the_worst_line_is_the_exit_code_and_the_others_are_done_all_the_same(ground: Ground) -> None:
    await ground.site("cern", "[instance.odd.settings]\nfails = true\n")
    out, notes, code = await shell(ground, "odd deny\nodd try\nodd echo well\n", "cern")
    assert ("cern: refused" in out, "the disk is full" in out, "cern: done: well" in out) == (True, True, True)
    assert code == 10
    out, notes, code = await shell(
        ground, "odd echo no\ntarget nosuch\nodd echo still\noutput tabel\nstop\n@cern uptme\n"
    )
    assert out.splitlines()[0].startswith("cern: invalid")
    assert code == 2
    assert "amon: no target is selected; say target EXPR first" in notes
    assert "amon: no site named nosuch" in notes
    assert "did you mean table?" in notes
    assert "amon: nothing is under way" in notes


async def test_a_target_and_a_format_hold_until_the_next(ground: Ground) -> None:
    await ground.site("cern", tags='tags = { tier = "1" }')
    await ground.site("fnal", tags='tags = { tier = "2" }')
    out, notes, code = await shell(
        ground,
        "target tag:tier=2\noutput jsonl\nodd echo a\n@(tag:tier=1 and not fnal) odd echo b\n"
        "sites cern\noutput quiet\nodd deny\n",
    )
    assert (notes, code) == ("", 13)
    *lines, last = out.splitlines()
    documents = [json.loads(line) for line in lines]
    assert [one["site"] for one in documents if "site" in one] == ["fnal", "cern", "cern"]
    assert [one["text"] for one in documents if "state" in one] == ["a", "b"]
    assert last == "fnal"


async def test_nobody_is_there_to_say_yes_but_the_line_itself_may(ground: Ground) -> None:
    for name in ("cern", "fnal"):
        await ground.site(name)
    out, notes, code = await shell(ground, "odd keep treasure\n", "all")
    assert (code, "nobody is here to say yes" in notes) == (13, True)
    out, notes, code = await shell(ground, "odd keep --yes treasure\nodd keep gold --dry-run\n", "all")
    assert code == 0
    assert "cern: done: kept treasure" in out
    assert "cern: done: would keep gold" in out


async def test_options_of_amon_run_hold_for_one_line(ground: Ground) -> None:
    await ground.site("cern")
    out, notes, code = await shell(
        ground,
        "run --timeout 0.5s odd hang\nrun -o json odd echo x\nrun --nosuch odd echo\nrun\nrun --detach odd echo\n",
        "all",
    )
    assert "cern: running" in out
    assert '"text": "x"' in out
    assert "amon run has no option '--nosuch'" in notes
    assert "what is to be said?" in notes
    assert "--detach is for amon run" in notes
    assert code == 2


async def test_help_is_that_of_one_site(ground: Ground) -> None:
    for name in ("cern", "fnal"):
        await ground.site(name)
    out, _, code = await shell(ground, "help\nhelp odd keep\n", "all")
    assert "target EXPR" in out
    assert out.count("odd keep WORDS") == 1
    assert code == 0


async def test_what_was_asked_is_in_the_book_of_jobs(ground: Ground) -> None:
    await ground.site("cern")
    out, _, code = await shell(ground, "odd echo kept\noutput json\njobs\n", "all")
    (job,) = json.loads(out[out.index("{") :])["jobs"]
    assert job["line"] == "odd echo kept"
    out, _, code = await shell(ground, f"job {job['short']}\njob nosuch\njob\n")
    assert "cern: done: kept" in out
    assert code in (1, 2)


async def test_a_line_whose_command_has_a_secret_is_in_no_book_and_no_file(ground: Ground) -> None:
    await ground.site("cern")
    out, _, code = await shell(
        ground, "odd unlock hunter2\n@cern odd unlock word=hunter2\nodd echo fine\njobs\n", "all"
    )
    assert (code, out.count("cern: done: opened")) == (0, 2)
    assert "odd echo fine" in out
    assert "unlock" not in out
    written = [path for path in (ground.folder / "home").rglob("*") if path.is_file()]
    assert written
    assert [path for path in written if b"hunter2" in path.read_bytes()] == []


async def test_a_trouble_is_json_for_who_reads_json(ground: Ground) -> None:
    await ground.site("cern")
    out, notes, code = await shell(ground, "@nosuch status\n", "-o", "jsonl")
    assert json.loads(out)["exit"] == code == 12
    assert "no site named 'nosuch'" in notes


async def test_what_each_site_said_is_saved_and_a_job_for_later_wants_its_yes_now(ground: Ground) -> None:
    await ground.site("cern")
    folder = ground.folder / "said"
    _, notes, code = await shell(
        ground, f"run --save {folder} odd echo treasure\nrun --queue-until 1h odd keep x\n", "all"
    )
    assert (code, "say --yes at once" in notes) == (2, True)
    (file,) = (path for path in folder.rglob("*") if path.is_file())
    assert "treasure" in file.read_text()


async def test_a_reader_that_goes_away_and_a_full_disk_are_said_once_and_clearly(ground: Ground) -> None:
    await ground.site("cern")
    program = [*AMON, "--config", str(ground.console().config), "run", "-o", "jsonl", "all", "odd", "disks"]
    for where, code, said in (
        ("| head -n 0", None, ""),
        (">/dev/full", 1, "amon: the disk of standard output is full; what was asked for may be done all the same\n"),
    ):
        process = await asyncio.create_subprocess_exec(
            "bash", "-c", f'"$@" {where}', "bash", *program,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=environment(ground.folder),
        )  # fmt: skip
        async with asyncio.timeout(30):
            _, notes = await process.communicate()
        assert notes.decode() == said
        assert code in (None, process.returncode)


async def hanging(agent: Agent) -> None:
    """Until that very line is at work there, and not a question of the completion."""
    under = agent.node.dispatch._under
    await until(lambda: "odd hang" in [work.name for work in under.values()])


async def test_control_c_stops_the_line_at_its_sites_and_what_comes_after_it_is_not_begun(ground: Ground) -> None:
    agent = await ground.site("cern")
    await shell(ground, "help odd hang\n", "all")  # so that the next call is the line itself
    process = await asyncio.create_subprocess_exec(
        *DEFAULTS, *AMON, "--config", str(ground.console().config), "shell", "all", env=environment(ground.folder),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write(b"odd hang\nodd echo never\n")
    await hanging(agent)
    process.send_signal(signal.SIGINT)
    async with asyncio.timeout(20):
        out, _ = await process.communicate()
    assert "cern: cancelled" in out.decode()
    assert "never" not in out.decode()
    assert (process.returncode, agent.node.dispatch.under_way()) == (15, 0)


async def test_lines_come_from_a_file_or_from_nowhere_and_none_is_endless(ground: Ground) -> None:
    await ground.site("cern")
    file = ground.folder / "lines"
    for content, code, said in (
        (b"odd echo one\nodd echo two", 0, "cern: done: two"),
        (b"", 0, ""),
        (b"x" * 100_000 + b"\nodd echo behind\n", 2, "cern: done: behind"),
    ):
        file.write_bytes(content)
        with file.open("rb") as source:
            assert await from_stream(ground, source) == (said, code)
    with Path("/dev/null").open("rb") as source:  # noqa: ASYNC230
        assert await from_stream(ground, source) == ("", 0)
    out, notes, code = await shell(ground, "odd echo before\n" + "x" * 100_000 + "\nodd echo behind\n", "all")
    assert (code, "longer than the 8192 characters" in notes) == (2, True)
    assert ("before" in out, "behind" in out) == (True, False)


async def from_stream(ground: Ground, source: BinaryIO) -> tuple[str, int]:
    """The last line about a site, and the exit code."""
    process = await asyncio.create_subprocess_exec(
        *AMON, "--config", str(ground.console().config), "shell", "all", env=environment(ground.folder),
        stdin=source, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    async with asyncio.timeout(20):
        out, _ = await process.communicate()
    said = [line for line in out.decode().splitlines() if line.startswith("cern")]
    return said[-1] if said else "", process.returncode or 0
