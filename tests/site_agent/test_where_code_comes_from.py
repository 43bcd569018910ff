"""Code comes from what is installed: neither from the current directory nor from whoever can write a file there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from amon.module import Registry

ROOT = Path(__file__).parents[2]
MARK = "ran-what-lay-there"
TRAP = f"import os, pathlib\npathlib.Path(os.environ['AMON_TRAP'], '{MARK}').write_text(__name__)\n"


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    """A directory with modules named as ours and our libraries, and one that is made to look installed."""
    for name in ("amon", "modules", "site_agent", "psutil", "msgspec", "tomllib", "argparse", "evil", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text(TRAP)
    installed = tmp_path / "evil-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text("[amon.modules]\nevil = evil:Module\nuptime = evil:Module\n")
    return tmp_path


def run(trap: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(
        words,
        cwd=trap,
        env={**environment, "AMON_TRAP": str(trap), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=50,
    )


SCRIPT = str(Path(sys.executable).with_name("amon-agent"))


@pytest.mark.parametrize(
    "words",
    [(SCRIPT, "reference"), (SCRIPT, "example"), (sys.executable, "-P", "-m", "site_agent.cli", "reference")],
    ids=["reference", "example", "safe path"],
)
def test_what_lies_in_the_current_directory_is_not_run(trap: Path, words: tuple[str, ...]) -> None:
    done = run(trap, *words)
    assert done.returncode == 0, done.stderr
    assert "uptime" in done.stdout
    assert "evil" not in done.stdout
    assert not (trap / MARK).exists()


def test_started_as_a_module_it_finds_no_other_module_in_the_current_directory(trap: Path) -> None:
    for name in ("amon", "site_agent", "argparse"):  # Python itself finds these before anybody of us is asked
        (trap / f"{name}.py").unlink()
    done = run(trap, sys.executable, "-m", "site_agent.cli", "reference")
    assert done.returncode == 0, done.stderr
    assert "uptime" in done.stdout
    assert "evil" not in done.stdout
    assert not (trap / MARK).exists()


def test_a_module_is_only_what_a_distribution_offers_also_if_its_name_is_a_path() -> None:
    registry = Registry()
    for name in ("os", "modules.uptime", "modules.uptime:UptimeModule", "../evil", "tests.e2e.vault", ""):
        assert registry.find(name).cls is None


def test_the_unit_runs_the_script_on_a_safe_path() -> None:
    unit = (ROOT / "site_agent" / "amon-agent.service").read_text()
    assert "PYTHONSAFEPATH=1" in unit
    assert "ExecStart=/opt/amon/bin/amon-agent run" in unit
