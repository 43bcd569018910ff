"""The engine's command line: what it prints, how it ends, and what it does not import for that."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points, version
from pathlib import Path
from typing import get_args

import pytest

from amon.engine.messages import Sample, Tally
from amon.engine.program.checking import WayFound, check
from amon.engine.program.cli import main
from amon.engine.program.configuration import World
from amon.engine.program.settings import EngineSettings, Way
from amon.engine.program.showing import faults_of
from amon.engine.ways.trial import WAYS
from tests.engine.process.scripted import Engine, ScriptedLoop

ROOT = Path(__file__).parents[3]
UNIT = ROOT / "amon" / "engine" / "program" / "amon-engine.service"
PROGRAM = [sys.executable, "-c", "import sys; from amon.engine.program.cli import main; sys.exit(main())"]
GOOD = '[tenants.ops]\nusers = ["root"]\n'


def amon_engine(*argv: str, **more: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, **more}
    return subprocess.run([*PROGRAM, *argv], capture_output=True, text=True, timeout=50, env=environment, cwd=ROOT)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], str]:
    def write(text: str) -> str:
        path = tmp_path / "engine.toml"
        path.write_text(f'socket = "{tmp_path}/socket"\n{text}')
        return str(path)

    return write


def test_help_is_there_without_numpy_or_a_loop() -> None:
    looks = (
        "import sys, amon.engine.program.cli as cli\ntry:\n    cli.main(['--help'])\nexcept SystemExit:\n"
        "    print(sorted({'numpy', 'asyncio', 'msgspec', 'ctypes', 'tomllib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", looks], capture_output=True, text=True, timeout=20, cwd=ROOT)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "amon-engine" in done.stdout


def test_the_program_is_installed_under_its_name() -> None:
    (script,) = [one for one in entry_points(group="console_scripts") if one.name == "amon-engine"]
    assert script.value == "amon.engine.program.cli:main"


def test_the_version_is_the_distributions(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert (end.value.code, capsys.readouterr().out) == (0, f"amon-engine {version('amon')}\n")


@pytest.mark.parametrize(
    "argv",
    [
        [], ["rnu"], ["run", "--frob"], ["ping"], ["ping", "-c", "-1", "x"], ["ping", "-i", "-1", "x"],
        ["ping", "-s", "15", "x"], ["ping", "-t", "256", "x"], ["ping", "--way", "fast", "x"],
    ],
)  # fmt: skip
def test_wrong_usage_ends_with_2(argv: list[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(argv)
    assert end.value.code == 2


def test_the_ways_to_choose_from_are_those_there_are() -> None:
    assert get_args(Way) == ("auto", *WAYS)


@pytest.mark.parametrize("command", ["run", "ping"])
def test_without_numpy_it_says_what_to_install(command: str, write: Callable[[str], str]) -> None:
    without = (
        "import importlib.util as u, sys; find = u.find_spec; u.find_spec = lambda n, *a: None if n == 'numpy' else "
        "find(n, *a); from amon.engine.program.cli import main; sys.exit(main())"
    )
    argv = ["run", "--config", write(GOOD)] if command == "run" else ["ping", "127.0.0.1"]
    done = subprocess.run([sys.executable, "-c", without, *argv], capture_output=True, text=True, cwd=ROOT, timeout=30)
    assert done.returncode == 1
    assert done.stderr == "amon-engine: numpy is not installed; next: pip install 'amon[engine]'\n"


def test_a_reader_who_goes_away_is_no_error() -> None:
    writer = subprocess.Popen([*PROGRAM, "reference"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT)
    assert writer.stdout is not None
    assert writer.stderr is not None
    writer.stdout.close()
    assert writer.stderr.read() == b""
    assert writer.wait(20) in (0, 141)
    writer.stderr.close()


# --- what it prints


def test_the_unit_is_the_file_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["unit"]) == 0
    text = capsys.readouterr().out
    assert text == UNIT.read_text()
    for line in (
        "Type=notify", "User=amon-engine", "RestartPreventExitStatus=78", "NoNewPrivileges=yes", "ProtectSystem=strict",
        "ExecStart=/opt/amon/bin/amon-engine run --config /etc/amon/engine.toml", "RuntimeDirectory=amon-engine",
        "CapabilityBoundingSet=CAP_NET_RAW CAP_NET_ADMIN CAP_BPF",
        "AmbientCapabilities=CAP_NET_RAW CAP_NET_ADMIN CAP_BPF",
    ):  # fmt: skip
        assert f"\n{line}\n" in text


def verified(text: str, tmp_path: Path) -> list[str]:
    """What systemd has to say of such a unit."""
    tool = Path("/usr/bin/systemd-analyze")
    if not tool.exists():
        pytest.skip("systemd-analyze is not installed")
    unit = tmp_path / "amon-engine.service"
    unit.write_text(text.replace("/opt/amon/bin/amon-engine", sys.executable))
    done = subprocess.run([tool, "verify", "--man=no", unit], capture_output=True, text=True, timeout=30)
    return [line for line in done.stderr.splitlines() if "amon-engine" in line]


def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    assert verified(UNIT.read_text(), tmp_path) == []


def test_every_line_that_a_site_may_switch_on_is_known_to_systemd_too(tmp_path: Path) -> None:
    lines = [line[1:] if line[:1] == "#" and line[1:2] not in " " else line for line in UNIT.read_text().splitlines()]
    assert "\nAmbientCapabilities=\nAmbientCapabilities=CAP_NET_RAW\n" in "\n".join(lines)
    assert verified("\n".join(lines), tmp_path) == []


def test_systemd_would_say_so_of_a_wrong_line(tmp_path: Path) -> None:
    assert verified(UNIT.read_text().replace("AF_XDP", "AF_XPD"), tmp_path) != []


def test_no_program_code_that_is_made_at_run_time_is_needed() -> None:
    """MemoryDenyWriteExecute= of the unit (prctl(2), PR_SET_MDWE)."""
    code = (
        "import ctypes, sys\nif ctypes.CDLL(None).prctl(65, 1, 0, 0, 0):\n    sys.exit(77)\n"
        "import amon.engine.program.process, amon.engine.ways.xdp\nprint('loaded')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, cwd=ROOT)
    if done.returncode == 77:
        pytest.skip("this kernel cannot deny it")
    assert (done.returncode, done.stdout) == (0, "loaded\n"), done.stderr


def test_the_reference_in_the_manual_is_that_of_the_program(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reference"]) == 0
    manual = (ROOT / "docs" / "engine.md").read_text()
    _, _, written = manual.partition("<!-- Made by `amon-engine reference`, up to the end; a test compares. -->\n\n")
    assert written == capsys.readouterr().out


# --- check


def test_check_ends_with_0_for_a_good_file_and_with_1_for_a_bad_one(write: Callable[[str], str]) -> None:
    good = amon_engine("check", "--offline", "--config", (path := write(GOOD)))
    assert (good.returncode, good.stdout) == (0, f"{path}: no problems\n")
    write(GOOD + "raet = 5\nallow = ['x']\n")
    bad = amon_engine("check", "--json", "--config", path)
    assert bad.returncode == 1
    told = json.loads(bad.stdout)
    assert [one["path"] for one in told["problems"]] == ["tenants.ops.raet", "tenants.ops.allow[0]"]
    assert told["ok"] is False


def world() -> World:
    return World(user=lambda name: 0, group=lambda name: 0)


def tried(found: dict[str, WayFound]) -> Callable[[str, EngineSettings], WayFound]:
    return lambda interface, settings: found[interface]


def test_check_tells_which_way_there_is_and_why_no_better_one(write: Callable[[str], str]) -> None:
    found = {"eth0": WayFound("packet+ring", ("xsk+ring: no right: needs CAP_NET_RAW",)), "": WayFound("raw")}
    report = check(Path(write('interfaces = ["eth0"]\n' + GOOD)), world(), attempt=tried(found))
    assert report.problems == ()
    assert "  eth0: packet+ring\n    xsk+ring: no right: needs CAP_NET_RAW\n  routed: raw\n" in report.text()
    assert json.loads(report.json())["ways"]["eth0"]["way"] == "packet+ring"


def test_an_interface_that_was_named_and_has_no_way_is_a_problem(write: Callable[[str], str]) -> None:
    found = {"eth7": WayFound("", ("there is no such interface; next: ip link",)), "": WayFound("raw")}
    report = check(Path(write('interfaces = ["eth7"]\n' + GOOD)), world(), attempt=tried(found))
    assert [str(one) for one in report.problems] == [
        "interfaces.eth7: no way: there is no such interface; next: ip link"
    ]


def test_cores_that_have_no_queue_of_their_own_are_told(write: Callable[[str], str]) -> None:
    found = {"lo": WayFound("xsk+ring"), "": WayFound("raw")}  # which has one queue
    own = World(cores=frozenset({0, 1}), user=lambda name: 0, group=lambda name: 0)
    text = 'interfaces = ["lo"]\ncores = [0, 1]\n'
    report = check(Path(write(text + GOOD)), own, attempt=tried(found))
    (note,) = [str(one) for one in report.notes if one.path == "interfaces.lo"]
    assert note == (
        "interfaces.lo: has 1 queue for 2 cores: the others take packet+ring; next: ethtool -L lo combined 2"
    )
    assert report.problems == ()
    report = check(Path(write(f'{text}way = "xsk+ring"\n{GOOD}')), own, attempt=tried(found))
    assert [str(one) for one in report.problems] == [
        "interfaces.lo: has 1 queue for 2 cores: the others cannot have xsk+ring; next: ethtool -L lo combined 2, or "
        'way = "auto"'
    ]
    report = check(Path(write('interfaces = ["lo"]\ncores = [0]\n' + GOOD)), own, attempt=tried(found))
    assert [one for one in report.notes if one.path == "interfaces.lo"] == []


def test_no_way_at_all_is_a_problem(write: Callable[[str], str]) -> None:
    found = {"eth0": WayFound(""), "": WayFound("", ("raw: no right",))}
    report = check(Path(write('interfaces = ["eth0"]\n' + GOOD)), world(), attempt=tried(found))
    assert str(report.problems[-1]) == "there is no way to the network at all: nothing could be sent"


def test_an_interface_that_is_not_there_is_looked_for_really(write: Callable[[str], str]) -> None:
    done = amon_engine("check", "--config", write('interfaces = ["amon-none"]\n' + GOOD))
    assert done.returncode == 1
    assert "interfaces.amon-none: no way: there is no such interface; next: ip link" in done.stdout


# --- status


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = Engine(tmp_path / "socket")
    yield engine
    engine.stop()


def quiet(loop: ScriptedLoop) -> Sample:
    return Sample(1.0, 2.0, sent=20, received=9, cpu=0.1, memory=50_000_000, tally=Tally(sent=10), drops={},
                  ways={"eth0": "raw"}, stamps=(1500, 9000), stamped_by="kernel", late=(1000, 2000, 3000))  # fmt: skip


def test_status_asks_a_running_engine_and_ends_with_0_when_it_is_well(
    engine: Engine, write: Callable[[str], str]
) -> None:
    engine.loop.sample = lambda: quiet(engine.loop)  # type: ignore[method-assign]
    done = amon_engine("status", "--config", write(GOOD))
    assert (done.returncode, done.stderr) == (0, "")
    for line in (
        "engine       engine-1", "way eth0     raw", "cost         10.0 % of a core, 50 MB",
        "ticks late   1 / 2 / 3 µs (median, 99 %, most)", "stamps       off by 1.5 µs (median), 9.0 µs (99 %); kernel",
    ):  # fmt: skip
        assert f"{line}\n" in done.stdout
    assert "now          10 sent/s" in done.stdout


def test_status_ends_with_1_and_says_why_when_it_is_not(engine: Engine, write: Callable[[str], str]) -> None:
    done = amon_engine("status", "--json", "--config", write(GOOD))
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert told["faults"] == ["no way to the network", "1 packets dropped on this host since the start, of 10 sent"]
    assert told["drops"] == {"eth0 full": 1}


def test_status_ends_with_3_where_no_engine_is(write: Callable[[str], str]) -> None:
    done = amon_engine("status", "--config", write(GOOD))
    assert (done.returncode, done.stdout) == (3, "")
    assert "no engine at" in done.stderr


def test_status_ends_with_2_for_a_tenant_that_is_refused(engine: Engine, write: Callable[[str], str]) -> None:
    done = amon_engine("status", "--config", write(GOOD), "--tenant", "other")
    assert done.returncode == 2
    assert "may not speak for tenant 'other'" in done.stderr


def test_status_needs_no_configuration_if_it_is_told_all(engine: Engine) -> None:
    done = amon_engine("status", "--socket", str(engine.path), "--tenant", "ops", "--json")
    assert json.loads(done.stdout)["engine"] == "engine-1"


@pytest.mark.parametrize(
    ("before", "now", "sent", "faults"),
    [
        (5, 5, 10_000, []),
        (5, 6, 10_000_000, ["1 packets dropped on this host within 1 s"]),
        (50, 50, 10_000, ["50 packets dropped on this host since the start, of 10000 sent"]),
    ],
)
def test_what_was_dropped_long_ago_and_little_is_no_fault(before: int, now: int, sent: int, faults: list[str]) -> None:
    def sample(dropped: int) -> Sample:
        return Sample(1, 1, 0, 0, 0.0, 0, Tally(sent=sent), {"eth0 full": dropped}, ways={"eth0": "raw"})

    assert faults_of(sample(before), sample(now)) == faults


def test_ticks_that_are_late_are_a_fault() -> None:
    one = Sample(1, 1, 0, 0, 0.0, 0, Tally(), {}, late=(0, 30_000_000, 40_000_000), ways={"eth0": "raw"})
    assert faults_of(one, one) == ["ticks are late: one in a hundred by 30.0 ms"]
