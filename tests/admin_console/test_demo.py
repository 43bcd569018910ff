"""`amon demo`: the whole of it, and that nothing is left behind however it ends."""

import asyncio
import json
import re
import shutil
import signal
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from admin_console.demo.stage import Stage
from admin_console.own_server import Place
from admin_console.server import PrivateServer
from admin_console.server.child import Child
from admin_console.session import Session
from amon.clock import SystemClock
from amon.errors import Failed
from amon.runtime.fleet import Fleet
from tests.admin_console.ground import Ground
from tests.admin_console.programs import in_pipe, nothing_left, on_terminal


def files_left(folder: Path) -> list[Path]:
    return list(folder.glob("amon-demo-*"))


async def test_it_shows_the_fleet_mends_the_broken_service_and_leaves_nothing(tmp_path: Path) -> None:
    svg = tmp_path / "demo.svg"
    async with in_pipe("demo", "--once", "--svg", str(svg), folder=tmp_path) as program:
        assert await program.ended(50) == 0, program.text
    shown = program.text
    steps = ["$ amon sites", "CRIT 1/3 store failed", "$ amon run all status", "3 sites: 3 done", "$ amon run service:",
             "1 site: 1 done", "exit code 0", "$ amon sites", "OK 3/3", "gone again"]  # fmt: skip
    places = [shown.find(steps[0])]
    for step in steps[1:]:
        places.append(shown.find(step, places[-1]))
    assert -1 not in places, shown
    first = re.search(r"first broadcast collected ([\d.]+) s", shown)
    assert first is not None
    assert float(first[1]) < 10
    assert files_left(tmp_path) == []
    await nothing_left(tmp_path, 1)
    picture = svg.read_text()
    ElementTree.fromstring(picture)
    assert "store" in picture
    assert "http" not in picture.replace("http://www.w3.org", "").replace("https://www.w3.org", "").replace(
        "https://www.textualize.io", ""
    )


@pytest.mark.parametrize(
    ("moment", "number"),
    [
        ("starting a private", signal.SIGTERM),
        ("$ amon sites", signal.SIGINT),
        ("$ amon run service:", signal.SIGTERM),
        ("1 site: 1 done", signal.SIGHUP),
    ],
)
async def test_stopped_in_the_middle_it_cleans_up(tmp_path: Path, moment: str, number: signal.Signals) -> None:
    async with in_pipe("demo", "--once", folder=tmp_path) as program:
        await program.wait_for(moment, 40)
        program.process.send_signal(number)
        program.process.send_signal(number)  # an impatient one must not stop the cleaning up
        assert await program.ended() == 130, program.text
    assert "Traceback" not in program.text
    assert files_left(tmp_path) == []
    await nothing_left(tmp_path, 1)


async def test_killed_it_leaves_files_but_no_process(tmp_path: Path) -> None:
    async with in_pipe("demo", "--once", folder=tmp_path) as program:
        await program.wait_for("$ amon run all", 40)
        program.process.kill()
        await program.ended()
    await nothing_left(tmp_path)
    for folder in files_left(tmp_path):
        shutil.rmtree(folder)


async def test_on_a_terminal_it_stays_up_for_whoever_wants_to_join(tmp_path: Path) -> None:
    async with on_terminal("demo", folder=tmp_path) as program:
        await program.wait_for("It stays up until Ctrl-C", 40)
        await program.wait_for("run all service list")
        for word in ("admin@amon.test", "password:", "STARTTLS", "ca.pem", "ops@rooms.amon.test"):
            assert word in program.text
        (config,) = tmp_path.glob("amon-demo-*/console.toml")
        async with in_pipe("--config", str(config), "sites", "--json", folder=tmp_path) as other:
            assert await other.ended() == 0
        assert json.loads(other.text)["counts"] == {"ok": 3}
        program.type(b"\x03")
        assert await program.ended() == 0
    assert files_left(tmp_path) == []
    await nothing_left(tmp_path, 1)


# Like make(1): it leads the session, is told of the hang-up, and waits for its child all the same.
LEADER = ("sh", "-c", 'trap : HUP; "$@"; exit $?', "sh")


@pytest.mark.parametrize("moment", ["starting a private", "$ amon run service:", "run all service list"])
async def test_when_the_terminal_goes_away_it_cleans_up_even_if_another_leads_the_session(
    tmp_path: Path, moment: str
) -> None:
    async with on_terminal("demo", folder=tmp_path, leader=LEADER) as program:
        await program.wait_for(moment, 40)
        program.hang_up()
        await program.ended()
    assert files_left(tmp_path) == []
    await nothing_left(tmp_path, 1)


async def test_without_prosody_it_says_what_to_install(tmp_path: Path) -> None:
    async with in_pipe("demo", "--once", folder=tmp_path, PATH="/nowhere") as program:
        assert await program.ended() == 1
    assert "prosody is not installed; next: apt-get install prosody" in program.text
    assert files_left(tmp_path) == []


async def test_an_agent_that_dies_is_reported_with_the_end_of_its_log(ground: Ground) -> None:
    folder = ground.folder / "demo"
    (folder / "cern").mkdir(parents=True)
    assert isinstance(ground.server, PrivateServer)
    stage = Stage(Place(folder), ground.server, ground.console())
    stage.agents["cern"] = Child("the agent of cern", stage.log("cern"))
    await stage.agents["cern"].start(["sh", "-c", "echo there is no disk; exit 3"])
    session = Session(Fleet(SystemClock()), "ops@rooms.amon.test", SystemClock(), nobody_signs)
    with pytest.raises(Failed, match=r"(?s)the agent of cern ended by itself:\n  there is no disk"):
        async with asyncio.timeout(20):
            await stage.wait(session, "here", lambda: False)


async def nobody_signs(message: bytes, namespace: str) -> str:
    raise AssertionError("nothing here is signed")
