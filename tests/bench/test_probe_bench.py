"""The bench of the packet engine does not rot: its figures can be had, and a missed ratio is an error."""

import json
import subprocess
import sys

import pytest

from tests.bench.ground import ROOT
from tests.lab.namespaces import needs_root

pytestmark = [pytest.mark.bench, needs_root]


def run(*words: str) -> "subprocess.CompletedProcess[str]":
    argv = [sys.executable, "-m", "tests.bench.probe", *words]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=150, check=False)


@pytest.mark.timeout(200)
def test_each_figure_of_the_probe_bench_can_be_measured_and_nothing_is_unaccounted_for() -> None:
    ended = run("--quick", "--json")
    assert ended.returncode == 0, ended.stderr
    groups = json.loads(ended.stdout)
    whole = {row["what"]: row["value"] for row in groups["gates"] if "accounted for" in row["what"]}
    assert len(whole) == 7
    assert set(whole.values()) == {1.0}
    assert all(row["value"] >= 0 for rows in groups.values() for row in rows)


def test_a_figure_that_nobody_knows_is_refused() -> None:
    ended = run("weather")
    assert ended.returncode == 2
    assert "no figure is called 'weather'; there are sending, answered" in ended.stderr
