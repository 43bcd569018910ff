"""The command line: what it prints, how it ends, and what it does not import for that."""

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from site_agent.cli import main
from tests.site_agent.world import GOOD, Place

ROOT = Path(__file__).parents[2]
# `amon-agent` as its script runs it, without looking for the script.
PROGRAM = [sys.executable, "-c", "import sys; from site_agent.cli import main; sys.exit(main())"]


def amon_agent(*argv: str, **more: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, **more}
    return subprocess.run([*PROGRAM, *argv], capture_output=True, text=True, timeout=50, env=environment, cwd=ROOT)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_help_is_there_without_waiting_for_xmpp_or_a_loop() -> None:
    looks = (
        "import sys, site_agent.cli as cli\ntry:\n    cli.main(['--help'])\nexcept SystemExit:\n"
        "    print(sorted({'slixmpp', 'asyncio', 'ssl', 'psutil', 'tomllib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", looks], capture_output=True, text=True, timeout=20, cwd=ROOT)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "amon-agent" in done.stdout


def test_the_version_is_the_distributions(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert (end.value.code, capsys.readouterr().out) == (0, f"amon-agent {version('amon')}\n")


@pytest.mark.parametrize("argv", [[], ["rnu"], ["run", "--frob"], ["polkit"], ["run", "--loop", "tornado"]])
def test_wrong_usage_ends_with_2(argv: list[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(argv)
    assert end.value.code == 2


def test_check_ends_with_0_for_a_good_file_and_with_1_for_a_bad_one(place: Place) -> None:
    path = str(place.write(GOOD))
    good = amon_agent("check", "--offline", "--config", path)
    assert (good.returncode, good.stdout) == (0, f"{path}: no problems; instances: uptime\n")
    assert good.stderr == ""  # progress is for terminals
    place.write(GOOD.replace("settle", "setle") + "x = 1")
    bad = amon_agent("check", "--offline", "--json", "--config", path)
    assert bad.returncode == 1
    assert [one["path"] for one in json.loads(bad.stdout)["problems"]] == [
        "instance.uptime.x", "instance.uptime.settings.setle",
    ]  # fmt: skip


def test_run_tells_all_problems_and_ends_with_78_so_that_systemd_lets_it_be(place: Place) -> None:
    place.password.chmod(0o644)
    path = place.write(GOOD.replace("settle", "setle"))
    done = amon_agent("run", "--config", str(path))
    assert done.returncode == 78
    assert done.stderr.splitlines() == [
        "instance.uptime.settings.setle: is not known here; did you mean settle?",
        f"account.main.password_file: {place.password} has mode 0644, but a secret is for one reader only; "
        f"next: chmod 600 {place.password}",
        f"{path}: 2 problems; not started; next: amon-agent check --config {path}",
    ]


def test_run_without_a_file_says_how_to_begin(tmp_path: Path) -> None:
    done = amon_agent("run", "--config", str(tmp_path / "none.toml"))
    assert done.returncode == 78
    assert "does not exist; next: amon-agent example >" in done.stderr


def test_the_example_is_printed_and_read_back(tmp_path: Path) -> None:
    done = amon_agent("example")
    assert done.returncode == 0
    path = tmp_path / "agent.toml"
    path.write_text(done.stdout)
    path.chmod(0o644)
    found = json.loads(amon_agent("check", "--offline", "--json", "--config", str(path)).stdout)["problems"]
    # The two places it names are not made yet on this machine.
    assert {one["path"] for one in found} <= {"account.main.password_file", "state"}


def test_a_reader_who_goes_away_is_no_error() -> None:
    writer = subprocess.Popen(
        [*PROGRAM, "example"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT, env={**os.environ}
    )
    assert writer.stdout is not None
    assert writer.stderr is not None
    writer.stdout.close()
    assert writer.stderr.read() == b""
    assert writer.wait(20) in (0, 141)
    writer.stderr.close()


def test_the_unit_is_the_file_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["unit"]) == 0
    text = capsys.readouterr().out
    assert text == (ROOT / "site_agent" / "amon-agent.service").read_text()
    for line in (
        "Type=notify", "KillMode=process", "RestartPreventExitStatus=78", "NoNewPrivileges=yes", "User=amon",
        "ExecStart=/opt/amon/bin/amon-agent run --config /etc/amon/agent.toml", "ProtectSystem=strict",
    ):  # fmt: skip
        assert f"\n{line}\n" in text


def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    tool = Path("/usr/bin/systemd-analyze")
    if not tool.exists():
        pytest.skip("systemd-analyze is not installed")
    unit = tmp_path / "amon-agent.service"
    text = (ROOT / "site_agent" / "amon-agent.service").read_text()
    unit.write_text(text.replace("/opt/amon/bin/amon-agent", sys.executable))
    done = subprocess.run([tool, "verify", "--man=no", unit], capture_output=True, text=True, timeout=30)
    ours = [line for line in done.stderr.splitlines() if "amon-agent" in line]
    assert ours == []


def test_every_line_that_a_site_may_switch_on_is_known_to_systemd_too(tmp_path: Path) -> None:
    tool = Path("/usr/bin/systemd-analyze")
    if not tool.exists():
        pytest.skip("systemd-analyze is not installed")
    unit = tmp_path / "amon-agent.service"
    text = (ROOT / "site_agent" / "amon-agent.service").read_text().replace("\n#", "\n# ").replace("\n#  ", "\n# ")
    switched = [line[2:] if line.startswith("# ") and "=" in line.split(" ")[1] else line for line in text.splitlines()]
    assert len([line for line in switched if not line.startswith("#")]) > 50
    unit.write_text("\n".join(switched).replace("/opt/amon/bin/amon-agent", sys.executable))
    done = subprocess.run([tool, "verify", "--man=no", unit], capture_output=True, text=True, timeout=30)
    assert [line for line in done.stderr.splitlines() if "amon-agent" in line] == []


def test_the_polkit_rule_names_the_units_asked_for_and_no_others(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["polkit", "--user", "site", "slurmd.service", "httpd@a\\x2db.service"]) == 0
    text = capsys.readouterr().out
    assert 'var units = ["slurmd.service", "httpd@a\\\\x2db.service"];' in text
    assert 'subject.user == "site"' in text
    assert "apache2" not in text.partition("polkit.addRule")[2]


@pytest.mark.parametrize("name", ["httpd", '"];evil();["a.service', "*.service", "a b.service", "-x.service "])
def test_what_is_no_unit_never_gets_into_a_rule(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["polkit", "--", name]) == 2
    assert "is not the full name of a unit" in capsys.readouterr().err


def test_uvloop_that_is_asked_for_but_not_there_is_said(place: Place) -> None:
    without = "import sys; sys.modules['uvloop'] = None; from site_agent.cli import main; sys.exit(main())"
    words = [sys.executable, "-c", without, "run", "--loop", "uvloop", "--config", str(place.write(GOOD))]
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, timeout=30, check=False)
    assert done.returncode == 1
    assert "pip install 'amon[fast]'" in done.stderr


UNCAUGHT = """
import sys
from amon.fields import Secret
from site_agent import cli
hush = Secret("planted-secret")
def broken(options):
    raise RuntimeError(f"with {hush.reveal()}")
cli._example = broken
cli.main(["example"])
"""


def test_a_bug_of_ours_shows_its_place_and_no_secret() -> None:
    done = subprocess.run([sys.executable, "-c", UNCAUGHT], capture_output=True, text=True, timeout=20, cwd=ROOT)
    assert done.returncode == 1
    assert "RuntimeError: with ***" in done.stderr
    assert "planted" not in done.stderr
