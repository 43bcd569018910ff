"""docs/security.md: every row is there, every test that it names exists, every defence stands where it says."""

import re
import subprocess
import sys

from tests.security.defences import ROOT, defences, table

PAGE = (ROOT / "docs" / "security.md").read_text()
NAMED = re.compile(r"`(tests/[\w/]+\.py::\w+)`")


def test_every_rule_and_every_trap_has_its_row() -> None:
    rows = [one.id for one in defences()]
    assert [f"R{number}" for number in range(1, 28)] == [row for row in rows if row.startswith("R")]
    assert [f"T{number}" for number in range(1, 17)] == [row for row in rows if row.startswith("T")]
    assert len(set(rows)) == len(rows)


def test_the_page_has_the_table_of_the_defences() -> None:
    assert table() in PAGE, "next: python -m tests.security.defences --write"


def test_every_test_that_is_named_is_collected() -> None:
    names = sorted(set(NAMED.findall(PAGE)))
    assert len(names) > 60
    argv = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-m", "", "-p", "no:cacheprovider", *names]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False, timeout=50)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def test_every_line_of_what_somebody_cannot_do_names_a_test() -> None:
    lines = [line for line in PAGE.splitlines() if line.startswith("| cannot |")]
    assert len(lines) > 30
    assert [line for line in lines if not NAMED.search(line)] == []


def test_every_defence_stands_exactly_once_where_it_is_taken_out() -> None:
    wrong = [(one.id, cut.file) for one in defences() for cut in one.cuts if cut.found(ROOT) != 1]
    assert wrong == [], "next: bring tests/security/defences.toml to what the code says now, and run make defences"
