"""`make defences`: takes every defence out, one at a time, in a copy of the tree; its test must fail there.

    make defences                    all of them, after their tests were seen to pass
    make defences ONLY="R18 S1"      these

A test that passes without its defence shows nothing, and is an error here; so is one that cannot be run.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.security.defences import ROOT, Defence, defences

_COPIED = ("admin_console", "amon", "modules", "site_agent", "tests", "docs", "requirements", ".ci")
_FILES = ("pyproject.toml", "Makefile", "README.md", "CHANGELOG.md", "LICENSE", ".gitignore")
_FAILED = re.compile(r"\b(\d+) failed")
_ALL = "servers or not servers"  # no test is left out for its mark


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="remove.py", description="Takes defences out and looks whether tests fail.")
    parser.add_argument("only", nargs="*", metavar="ID", help="these rows of docs/security.md")
    parser.add_argument("--without-baseline", action="store_true", help="do not run the tests in the whole tree first")
    asked = parser.parse_args(argv)
    chosen = [one for one in defences() if not asked.only or one.id in asked.only]
    with tempfile.TemporaryDirectory(prefix="amon-defences-") as folder:
        tree = copied(Path(folder))
        if not asked.without_baseline and not passes(tree, {one.test for one in chosen}):
            return 1
        said = [told(tree, one) for one in chosen]
    print(f"{said.count(True)} of {len(said)} defences have a test that fails without them")
    return 0 if all(said) else 1


def copied(folder: Path) -> Path:
    """What is tested, in a place of its own; the tree itself is never changed."""
    for name in _COPIED:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", ".hypothesis"))
    for name in _FILES:
        shutil.copy2(ROOT / name, folder / name)
    return folder


def passes(tree: Path, tests: Iterable[str]) -> bool:
    status, said, seconds = run(tree, *sorted(tests))
    print(f"with all defences: {said} ({seconds:.0f} s)", flush=True)
    return status == 0


def told(tree: Path, one: Defence) -> bool:
    """Whether its test fails without it; prints one line."""
    wrong = [cut.file for cut in one.cuts if cut.found(tree) != 1]
    if wrong:
        print(
            f"{one.id:<4} ERROR the text of the defence does not stand exactly once in {', '.join(wrong)}", flush=True
        )
        return False
    before = [(tree / cut.file, cut.apply(tree)) for cut in one.cuts]
    status, said, seconds = run(tree, one.test)
    for path, text in reversed(before):
        path.write_text(text)
    failed = status == 1 and _FAILED.search(said) is not None
    verdict = "fails" if failed else "ERROR it does not fail"
    print(f"{one.id:<4} {verdict:<7} {one.test} without {one.cuts[0].file}: {said} ({seconds:.0f} s)", flush=True)
    return failed


def run(tree: Path, *tests: str) -> tuple[int, str, float]:
    """pytest's exit status, its last line, and how long it took."""
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=no", "-m", _ALL, "-k", "not ejabberd"]
    own = {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    began = time.monotonic()
    done = subprocess.run(
        [*argv, *tests], cwd=tree, env={**os.environ, **own}, capture_output=True, text=True, check=False, timeout=600
    )
    lines = (done.stdout + done.stderr).strip().splitlines()
    return done.returncode, lines[-1] if lines else "nothing was said", time.monotonic() - began


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
