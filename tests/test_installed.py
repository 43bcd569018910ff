"""What installers leave is read as importlib.metadata reads it, and without what that brings along."""

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

from amon.installed import Distribution, EntryPoint, entry_points, version_of

_NOT_FOR_AN_AGENT = (
    "admin_console", "aiodns", "click", "cryptography", "email", "http", "importlib.metadata", "multiprocessing",
    "prompt_toolkit", "pygments", "python_socks", "rich", "tempfile", "typing_extensions", "zipfile", "zoneinfo",
)  # fmt: skip
_AGENT = """
import sys, site_agent.cli, site_agent.run, site_agent.agent
from amon.module import Registry
registry = Registry()
assert [registry.find(name).cls for name in ("uptime", "host", "service")].count(None) == 0
from amon.runtime.about import amon_version
amon_version()
print(*sorted(set(sys.argv[1:]) & set(sys.modules)))
"""
_COPIED = """
from amon.installed import entry_points, version_of
print(version_of("amon"), entry_points("amon.modules"))
"""
ROOT = Path(__file__).parents[1]


def leave(folder: Path, name: str, points: str = "", version: str = "1.0") -> None:
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nVersion: 9 says a text\n"
    )
    if points:
        (info / "entry_points.txt").write_text(points)


def test_what_is_installed_here_is_read_as_the_library_reads_it() -> None:
    for group in ("amon.modules", "console_scripts", "pytest11"):
        theirs = {(point.name, point.value) for point in importlib.metadata.entry_points(group=group)}
        assert {(point.name, point.value) for point in entry_points(group)} == theirs
        assert theirs
    for name in ("amon", "slixmpp", "msgspec", "prompt-toolkit", "prompt_toolkit", "Prompt.Toolkit"):
        assert version_of(name) == importlib.metadata.version(name)


def test_what_is_not_installed_has_no_version() -> None:
    assert version_of("no-such-thing-anywhere") is None


def test_the_first_on_the_path_counts_and_the_name_is_the_one_in_its_metadata(tmp_path: Path) -> None:
    leave(tmp_path / "one", "Two_Words", "[here]\na = one:A\n", version="2.5")
    leave(tmp_path / "two", "two_words", "[here]\na = two:A\n")
    path = [str(tmp_path / "one"), str(tmp_path / "nowhere"), str(tmp_path / "two")]
    assert version_of("two-words", path) == "2.5"
    (point,) = entry_points("here", path)
    assert isinstance(point, EntryPoint)
    assert (point.value, point.dist.name) == ("one:A", "Two_Words")


def test_only_points_of_the_group_are_taken_and_remarks_are_none(tmp_path: Path) -> None:
    leave(tmp_path, "some", "[other]\nx = a:b\n[here]\n# y = a:b\n; z = a:b\nnothing\n w = json : loads [extra]\n")
    (point,) = entry_points("here", [str(tmp_path)])
    assert point.name == "w"
    assert point.load()("1") == 1


def test_a_point_that_leads_nowhere_is_an_import_error(tmp_path: Path) -> None:
    for value in ("json loads", "", "json:", "no_such_module_of_ours:x"):
        with pytest.raises(ImportError):
            EntryPoint("odd", value, Distribution(tmp_path)).load()


def test_an_agent_brings_nothing_that_it_does_not_need() -> None:
    assert _said(_AGENT, *_NOT_FOR_AN_AGENT) == ""


def test_a_copied_folder_is_looked_for_by_the_library_and_is_not_installed() -> None:
    """-S: without site-packages."""
    done = subprocess.run(
        [sys.executable, "-S", "-c", _COPIED], capture_output=True, text=True, check=True, timeout=30, cwd=ROOT
    )
    assert done.stdout == "None []\n"


def _said(program: str, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program, *words], capture_output=True, text=True, check=True, timeout=30, cwd=ROOT
    )
    return done.stdout.strip()
