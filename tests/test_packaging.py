"""What is installed is what stands in the folders: wheel, entry points, names, pins. Each trap here was met."""

import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from importlib.metadata import distribution, packages_distributions
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from amon.module import Module

ROOT = Path(__file__).parents[1]
PACKAGES = ("admin_console", "amon", "modules", "site_agent")
LOCKS = ("requirements/dev.txt", "requirements/run.txt")


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def files_of(package: str) -> Iterator[str]:
    for path in (ROOT / package).rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path.relative_to(ROOT).as_posix()


def pins(lock: str) -> dict[str, str]:
    """Each requirement of a lock with its hashes, as one line, by name."""
    lines = [line for line in (ROOT / lock).read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", "")
    return {re.split(r"\W*=", line)[0]: " ".join(line.split()) for line in joined.splitlines()}


def test_the_wheel_holds_every_file_of_the_four_packages_and_nothing_else(tmp_path: Path) -> None:
    # hatchling leaves out what .gitignore matches: a template or an SQL file could silently stay at home.
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=50)
    (wheel,) = tmp_path.iterdir()
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    expected = {name for package in PACKAGES for name in files_of(package)}
    assert names == expected
    assert {f"{package}/py.typed" for package in PACKAGES} <= names


def test_the_installed_entry_points_are_those_of_pyproject(project: dict[str, Any]) -> None:
    groups = {"console_scripts": project["project"]["scripts"], **project["project"]["entry-points"]}
    declared = {(group, name, value) for group, table in groups.items() for name, value in table.items()}
    installed = {(point.group, point.name, point.value) for point in distribution("amon").entry_points}
    assert installed == declared, "an editable install keeps the entry points of its day: run `make setup`"


def test_every_file_in_modules_has_an_entry_point(project: dict[str, Any]) -> None:
    table = project["project"]["entry-points"]["amon.modules"]
    named = {value.split(":")[0] for value in table.values()}
    present = {f"modules.{path.stem}" for path in (ROOT / "modules").iterdir() if path.name[0] not in "._"}
    assert present - {"modules.py"} == named


def test_every_entry_point_leads_somewhere() -> None:
    points = distribution("amon").entry_points
    loaded = {point.name: point.load() for point in points if point.group == "amon.modules"}
    assert loaded
    assert all(issubclass(found, Module) for found in loaded.values())
    assert all(callable(point.load()) for point in points if point.group == "console_scripts")


@pytest.mark.parametrize("name", PACKAGES)
def test_no_other_distribution_owns_our_names(name: str) -> None:
    # pip lets two distributions write into one folder without a word. An editable install lists no files: the default.
    assert set(packages_distributions().get(name, ["amon"])) == {"amon"}


def test_nobody_but_pyproject_and_tests_names_a_module() -> None:
    naming = re.compile(r"(?<![.\w])modules\.\w|\b(from|import) modules\b")
    texts = {
        name: (ROOT / name).read_text() for package in PACKAGES for name in files_of(package) if name.endswith(".py")
    }
    assert [name for name, text in texts.items() if naming.search(text)] == []


def test_no_package_marker_below_tests() -> None:
    # tests/modules/__init__.py would take the name `modules` from the real one.
    assert list((ROOT / "tests").rglob("__init__.py")) == []


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_is_exact_and_hashed(lock: str) -> None:
    form = re.compile(r"[a-z0-9-]+==[\w.]+( ; [^\\]+?)?( --hash=sha256:[0-9a-f]{64})+")
    assert [line for line in pins(lock).values() if not form.fullmatch(line)] == []


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_says_what_and_not_from_where(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert re.findall(r"\S*://\S*|(?<![\w.])/\S+|--(?:extra-)?index-url|--find-links|--trusted-host", text) == []


def test_both_locks_agree_and_cover_what_pyproject_asks_for(project: dict[str, Any]) -> None:
    run, dev = pins("requirements/run.txt"), pins("requirements/dev.txt")
    assert {name: dev.get(name) for name in run} == run
    extras = [line for lines in project["project"]["optional-dependencies"].values() for line in lines]
    wanted = [Requirement(line) for line in project["project"]["dependencies"] + extras]
    tools = [Requirement(line) for line in project["dependency-groups"]["dev"]]
    for lock, requirements in ((run, wanted), (dev, tools)):
        for asked in requirements:
            if asked.name != "amon":
                assert lock[asked.name].split()[0].split("==")[1] in asked.specifier, "run `make lock`"
