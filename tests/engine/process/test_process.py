"""An engine as a process: real signals, a real socket, the loop that is shipped. Nothing leaves the host: its only
interface is `lo`, and where there is no right for that either it runs all the same."""

import asyncio
import errno
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path

import psutil
import pytest

from amon.engine.asking.client import Gap, Times, connect, packed
from amon.engine.asking.shares import whose
from amon.engine.messages import Spec
from amon.engine.program import privileges
from amon.engine.program.configuration import Loaded
from amon.engine.program.process import NOTES_MOST, Opener, Process, Seat, queues_of
from amon.engine.program.settings import EngineSettings
from amon.engine.shapes import WayRefused
from amon.engine.turn.ports import Wanted
from amon.engine.ways.trial import Ways
from amon.errors import Failed, Refused
from amon.notify import Notify
from tests.engine.process.running import Running
from tests.waiting import until

ROOT = Path(__file__).parents[3]
PROGRAM = [sys.executable, "-c", "import sys; from amon.engine.program.cli import main; sys.exit(main())"]
TEXT = """
socket = "$HERE/socket"
interfaces = ["lo"]
way = "ping"
[tenants.ops]
allow = ["127.0.0.0/8", "::1"]
"""
QUICK = Times(first=0.05, most=0.2)


class Program(Running):
    """`amon-engine run`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.path, self.socket = folder / "engine.toml", folder / "socket"

    def write(self, text: str) -> None:
        self.path.write_text(text.replace("$HERE", str(self.folder)))

    async def start(self, text: str = TEXT, more: Mapping[str, str] | None = None) -> None:
        self.write(text)
        self.process = await asyncio.create_subprocess_exec(
            *PROGRAM, "run", "--config", str(self.path),
            stderr=asyncio.subprocess.PIPE, cwd=ROOT,
            env={**os.environ, "NOTIFY_SOCKET": str(self.notices.path), **(more or {})},
        )  # fmt: skip
        await self.notices.wait("READY=1")


@pytest.fixture
async def program(tmp_path: Path) -> AsyncIterator[Program]:
    program = Program(tmp_path)
    yield program
    await program.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_says_when_it_is_ready_and_stops_in_order(program: Program, number: int) -> None:
    await program.start()
    assert stat.S_ISSOCK(program.socket.stat().st_mode)
    code, said = await program.end(number)
    assert code == 0
    assert "Traceback" not in said
    await program.notices.wait("STOPPING=1")
    assert not program.socket.exists()


async def test_once_it_is_ready_it_has_given_up_all_rights_but_one(program: Program) -> None:
    await program.start()
    status = Path(f"/proc/{program.process.pid}/status").read_text()
    values = dict(line.split(":\t") for line in status.splitlines() if ":\t" in line)
    assert int(values["CapEff"], 16) & ~(1 << privileges.NET_RAW) == 0
    assert int(values["CapPrm"], 16) & ~(1 << privileges.NET_RAW) == 0
    assert int(values["CapAmb"], 16) == 0
    assert values["NoNewPrivs"] == "1"
    for thread in Path(f"/proc/{program.process.pid}/task").iterdir():
        assert f"CapEff:\t{values['CapEff']}" in (thread / "status").read_text()
    assert (await program.end())[0] == 0


async def test_a_client_is_welcomed_and_told_what_may_not_be_probed(program: Program) -> None:
    await program.start()
    async with connect(program.socket, "ops", times=QUICK) as engine:
        assert engine.welcome.limits.rate == 1000
        assert engine.welcome.identity.startswith("amon-engine of ")
        job = await engine.begin(Spec(rounds=1), ["127.0.0.1", "224.0.0.1", "192.0.2.1"])
        assert [one.rows for one in job.denied] == [(1,), (2,)]
        assert (await engine.sample()).memory > 0
    assert (await program.end())[0] == 0


async def test_a_hangup_takes_over_what_may_be_probed_and_by_whom_without_a_stop(program: Program) -> None:
    await program.start()
    async with connect(program.socket, "ops", times=QUICK) as engine:
        job = await engine.begin(Spec(interval=0.5), ["127.0.0.1", "127.0.0.2"])
        assert job.denied == ()
        program.write(TEXT.replace('way = "ping"', 'way = "ping"\ndeny = ["127.0.0.2"]\nidentity = "new"'))
        program.process.send_signal(signal.SIGHUP)
        assert "MONOTONIC_USEC=" in await program.notices.wait("RELOADING=1")
        ready = await program.notices.wait("READY=1")
        assert ready == "READY=1\nSTATUS=reloaded; not before a restart: identity"
        await until(lambda: [one.rows for one in job.denied] == [(1,)])
        program.write(TEXT.replace("tenants.ops", "tenants.other"))
        program.process.send_signal(signal.SIGHUP)
        await until(lambda: "may not speak" in engine.trouble)
    code, said = await program.end()
    assert code == 0
    assert "Traceback" not in said


async def test_a_bad_file_changes_nothing_and_all_that_is_wrong_is_logged(program: Program) -> None:
    await program.start()
    program.write(TEXT.replace("way", "wya") + 'deny = ["x"]\n')
    program.process.send_signal(signal.SIGHUP)
    await program.notices.wait("RELOADING=1")
    ready = await program.notices.wait("READY=1")
    assert ready.startswith(
        "READY=1\nSTATUS=not reloaded: 2 problems in the configuration; the old one stays. First: wya"
    )
    async with connect(program.socket, "ops", times=QUICK) as engine:
        assert engine.trouble == ""
    code, said = await program.end()
    assert code == 0
    assert "wya: is not known here; did you mean way" in said
    assert "tenants.ops.deny[0]: 'x' is no network" in said


async def test_the_watchdog_hears_of_it_from_the_loop(program: Program) -> None:
    await program.start(more={"WATCHDOG_USEC": "4000000"})
    await program.notices.wait("WATCHDOG=1")
    await program.notices.wait("WATCHDOG=1")
    assert (await program.end())[0] == 0


async def test_a_second_engine_is_refused_and_the_first_goes_on(program: Program) -> None:
    await program.start()
    other = await asyncio.create_subprocess_exec(
        *PROGRAM, "run", "--config", str(program.path), stderr=asyncio.subprocess.PIPE, cwd=ROOT
    )
    async with asyncio.timeout(20):
        _, said = await other.communicate()
    assert other.returncode == 1
    assert "another engine listens at" in said.decode()
    async with connect(program.socket, "ops", times=QUICK) as engine:
        assert engine.trouble == ""
    assert (await program.end())[0] == 0


async def test_one_that_was_killed_leaves_nothing_that_hinders_the_next(program: Program) -> None:
    await program.start()
    async with connect(program.socket, "ops", times=QUICK) as engine:
        job = await engine.begin(Spec(), ["127.0.0.1"])
        await program.end(signal.SIGKILL)
        assert program.socket.exists()
        await until(lambda: engine.trouble)
        await program.start()
        async with asyncio.timeout(20):
            while not isinstance(await anext(job), Gap):
                pass
    assert (await program.end())[0] == 0


async def test_a_suspended_engine_goes_on_where_its_clients_left_it(program: Program) -> None:
    await program.start()
    async with connect(program.socket, "ops", times=QUICK) as engine:
        program.process.send_signal(signal.SIGSTOP)
        asking = asyncio.create_task(engine.sample())
        await until(lambda: psutil.Process(program.process.pid).status() == psutil.STATUS_STOPPED)
        assert not asking.done()
        program.process.send_signal(signal.SIGCONT)
        assert (await asking).memory > 0
        assert engine.trouble == ""
    assert (await program.end())[0] == 0


async def test_memory_is_locked_or_it_says_what_that_takes(program: Program) -> None:
    program.write(TEXT.replace('way = "ping"', 'way = "ping"\nlock_memory = true'))
    program.process = await asyncio.create_subprocess_exec(
        "prlimit", "--memlock=0:0", *PROGRAM, "run", "--config", str(program.path),
        stderr=asyncio.subprocess.PIPE, cwd=ROOT, env={**os.environ, "NOTIFY_SOCKET": str(program.notices.path)},
    )  # fmt: skip
    if privileges.IPC_LOCK in privileges.effective():
        await program.notices.wait("READY=1")
        status = Path(f"/proc/{program.process.pid}/status").read_text()
        assert int(status.partition("VmLck:")[2].split()[0]) > 10_000  # KiB
        assert (await program.end())[0] == 0
    else:
        async with asyncio.timeout(20):
            _, said = await program.process.communicate()
        assert program.process.returncode == 1
        assert "next: CAP_IPC_LOCK or LimitMEMLOCK= in the unit" in said.decode()


def test_where_rights_cannot_be_given_up_it_does_not_go_on(tmp_path: Path) -> None:
    def refuse(keep: Iterable[int]) -> frozenset[int]:
        assert set(keep) == {privileges.NET_RAW}
        raise OSError(errno.EPERM, "Operation not permitted")

    loaded = Loaded(tmp_path / "engine.toml", EngineSettings())
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        process = Process(loaded, EngineSettings(), listener, Notify(), Seat(), refuse)
        with pytest.raises(Failed, match="rights cannot be given up: Operation not permitted; next: see System"):
            process._give_up_rights()


def test_a_note_that_comes_and_goes_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        process = Process(Loaded(tmp_path), EngineSettings(), listener, Notify(), Seat())
        for notes in (("no route to 192.0.2.1",), (), ("no route to 192.0.2.1", "another")) * 3:
            process._tell_notes(notes)
        process._tell_notes(tuple(f"note {number}" for number in range(1000)))
    said = [record.message for record in caplog.records]
    assert said[:2] == ["no route to 192.0.2.1", "another"]
    assert len(said) == NOTES_MOST


def refused(interface: str | None, way: str, ident: int, **more: object) -> Ways:
    raise WayRefused(f"{way} on {interface}: no right: needs CAP_BPF")


def test_what_is_refused_for_want_of_a_right_that_was_given_up_says_so() -> None:
    opener = Opener(open_way=refused)
    with pytest.raises(WayRefused, match=r"needs CAP_BPF$"):
        opener(Wanted("amon-none", "xdp"), 1)
    opener.given_up = frozenset({privileges.BPF, privileges.NET_ADMIN})
    with pytest.raises(WayRefused, match=r"CAP_BPF was given up after the start: a restart, or keep_rights = true$"):
        opener(Wanted("amon-none", "xdp"), 1)


def test_what_the_system_routes_is_not_tried_by_ways_that_need_an_interface() -> None:
    with pytest.raises(WayRefused) as told:
        Opener(open_way=refused)(Wanted(""), 1)
    assert str(told.value) == ("raw on None: no right: needs CAP_BPF; ping on None: no right: needs CAP_BPF")


def test_the_second_process_takes_the_second_queue_where_there_is_one() -> None:
    assert queues_of("lo") == 1
    assert queues_of("") == queues_of("amon-none") == 1


def test_a_configuration_that_cannot_be_run_ends_with_78(tmp_path: Path) -> None:
    path = tmp_path / "engine.toml"
    path.write_text("wya = 1\n")
    words = [*PROGRAM, "run", "--config", str(path)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, cwd=ROOT, check=False)
    assert done.returncode == 78
    assert done.stderr.splitlines() == [
        "wya: is not known here; did you mean way?",
        "tenants: none is given: nobody could use this engine; next: see [tenants.site] in the example",
        f"{path}: 2 problems; not started; next: amon-engine check --config {path}",
    ]


# --- several cores

CORES = sorted(os.sched_getaffinity(0))[:2]
SEVERAL = TEXT.replace('way = "ping"', f'way = "ping"\ncores = {CORES}')
FIRST = whose(packed(["127.0.0.1"]), 2)
several_cores = pytest.mark.skipif(len(CORES) < 2, reason="this machine has one core only")


@several_cores
async def test_each_core_has_a_process_and_its_share_of_the_limits(program: Program) -> None:
    await program.start(SEVERAL)
    children = psutil.Process(program.process.pid).children()
    assert sorted(child.cpu_affinity() for child in children) == [[core] for core in CORES]
    async with connect(program.socket, "ops", times=QUICK) as engine:
        assert engine.welcome.limits.rate == 1000
        assert [link.welcome.limits.rate for link in engine._links if link.welcome] == [500, 500]
        job = await engine.begin(Spec(), [f"127.0.0.{n}" for n in range(1, 65)])
        assert job.targets == 64
    status = Path(f"/proc/{program.process.pid}/status").read_text()
    assert "CapEff:\t0000000000000000" in status
    code, said = await program.end()
    assert code == 0
    assert "Traceback" not in said
    assert not [child for child in children if child.is_running()]
    assert sorted(program.folder.glob("socket*")) == []


@several_cores
async def test_a_core_that_dies_comes_back_and_only_its_targets_have_a_gap(program: Program) -> None:
    await program.start(SEVERAL)
    async with connect(program.socket, "ops", times=QUICK) as engine:
        job = await engine.begin(Spec(), [f"127.0.0.{n}" for n in range(1, 65)])
        psutil.Process(program.process.pid).children()[1].kill()
        async with asyncio.timeout(30):
            while not isinstance(await anext(job), Gap):
                pass
        await until(lambda: not engine.trouble)
        assert job.targets == 64
    code, said = await program.end()
    assert code == 0
    assert "core 1 ended (signal SIGKILL); started again in 2 s" in said


@several_cores
async def test_a_core_that_may_probe_nothing_of_its_share_does_not_spoil_the_job(program: Program) -> None:
    await program.start(SEVERAL)
    async with connect(program.socket, "ops", times=QUICK) as engine:
        addresses = ["127.0.0.1", *(f"192.0.2.{n}" for n in range(64) if whose(packed([f"192.0.2.{n}"]), 2) != FIRST)]
        job = await engine.begin(Spec(rounds=1), addresses)
        assert (job.targets, sum(one.count for one in job.denied)) == (1, len(addresses) - 1)
        assert [row for one in job.denied for row in one.rows] == list(range(1, len(addresses)))
        with pytest.raises(Refused, match="none of the targets may be probed"):
            await engine.begin(Spec(rounds=1), addresses[1:])
    assert (await program.end())[0] == 0


@several_cores
async def test_a_hangup_reaches_every_core(program: Program) -> None:
    await program.start(SEVERAL)
    async with connect(program.socket, "ops", times=QUICK) as engine:
        job = await engine.begin(Spec(), [f"127.0.0.{n}" for n in range(1, 65)])
        program.write(SEVERAL.replace('way = "ping"', 'way = "ping"\ndeny = ["127.0.0.0/26"]'))
        program.process.send_signal(signal.SIGHUP)
        await until(lambda: sum(one.count for one in job.denied) == 63)
        assert job.targets == 1
    assert (await program.end())[0] == 0
