"""`amon server`: from an empty folder to a room that a console can use, and again on the next day."""

import os
import signal
import stat
from pathlib import Path

import pytest

from admin_console.own_server import add_account, place_of
from admin_console.rooms import show_room
from admin_console.session import Setup
from admin_console.settings import load
from amon.errors import Failed, Invalid
from tests.admin_console.programs import Program, in_pipe, nothing_left

RUN = ("server", "run", "--port", "0", "--tls-port", "0", "--directory")


async def up(program: Program) -> None:
    await program.wait_for("stops with Ctrl-C")


async def standings(folder: Path) -> set[tuple[str, ...]]:
    config = folder / "console.toml"
    grid = (await show_room(Setup.of(load(config), config))).grid
    return set(grid.rows)


async def test_it_runs_with_admin_room_and_configuration_until_it_is_told_to_stop(tmp_path: Path) -> None:
    folder = tmp_path / "server"
    said: list[str] = []
    async with in_pipe(*RUN, str(folder), folder=tmp_path) as program:
        await up(program)
        assert f"password:    in {folder}/passwords/admin@amon.test" in program.text
        await add_account(folder, "Cern@agents.amon.test", said.append)
        await add_account(folder, "bob@amon.test", said.append)
        assert await standings(folder) == {
            ("owner", "admin@amon.test"), ("admin", "bob@amon.test"), ("member", "cern@agents.amon.test"),
        }  # fmt: skip
        program.process.send_signal(signal.SIGTERM)
        assert await program.ended() == 0
    assert program.text.endswith("the server has stopped\n")
    assert any('jid = "cern@agents.amon.test"' in text for text in said)
    password = (folder / "passwords" / "cern@agents.amon.test").read_text()
    assert password.strip() not in program.text + "".join(said)
    assert all(stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 for path in (folder / "passwords").iterdir())
    await nothing_left(folder)
    async with in_pipe(*RUN, str(folder), folder=tmp_path) as program:  # the next day
        await up(program)
        assert ("member", "cern@agents.amon.test") in await standings(folder)
        program.process.send_signal(signal.SIGINT)
        assert await program.ended() == 0


async def test_each_server_has_its_own_sites_though_their_rooms_are_of_one_name(tmp_path: Path) -> None:
    folder = tmp_path / "server"
    async with in_pipe(*RUN, str(folder), folder=tmp_path) as program:
        await up(program)
    settings = load(folder / "console.toml")
    assert (settings.room, settings.book, settings.site_keys) == (
        "ops@rooms.amon.test", folder / "book.json", folder / "site_keys",
    )  # fmt: skip


async def test_an_account_needs_a_server_that_has_run(tmp_path: Path) -> None:
    with pytest.raises(Failed, match=r"no server has run in .* yet; next: amon server run --directory"):
        place_of(tmp_path)


async def test_what_is_no_account_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    folder = tmp_path / "server"
    async with in_pipe(*RUN, str(folder), folder=tmp_path) as program:
        await up(program)
        for jid in ("cern", "cern@example.org", "../x@amon.test"):
            with pytest.raises(Invalid):
                await add_account(folder, jid, lambda text: None)
        assert [path.name for path in (folder / "passwords").iterdir()] == ["admin@amon.test"]


async def test_a_server_that_dies_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    folder = tmp_path / "server"
    async with in_pipe(*RUN, str(folder), folder=tmp_path) as program:
        await up(program)
        (pid,) = [int(line) for line in (folder / "prosody.pid").read_text().splitlines()]
        os.kill(pid, signal.SIGKILL)
        assert await program.ended() == 1
    assert "amon: the server ended by itself; the end of" in program.text


async def test_without_prosody_nothing_is_made(tmp_path: Path) -> None:
    folder = tmp_path / "server"
    async with in_pipe(*RUN, str(folder), folder=tmp_path, PATH="/nowhere") as program:
        assert await program.ended() == 1
    assert program.text == "amon: prosody is not installed; next: apt-get install prosody\n"
    assert not folder.exists()
