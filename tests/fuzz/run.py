"""`make fuzz`: runs all targets, one after the other, and prints how many inputs each was given.

    make fuzz RUNS=10000000        so many inputs altogether, shared out among the targets
    make fuzz RUNS=100000 ONLY=codec

New inputs that reach new code are kept below build/fuzz; an input that is a crash is named there, and belongs into
tests/fuzz/corpus once it is understood. Exit status 1 if there was one.
"""

import argparse
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from tests.fuzz.target import Target
from tests.fuzz.targets import TARGETS

_RUNS = re.compile(r"stat::number_of_executed_units:\s+(\d+)")
_CRASH = re.compile(r"(?:crash|timeout|oom|slow-unit)-[0-9a-f]+")


@dataclass(frozen=True, slots=True)
class Ran:
    """One target's part of a run. crash: the file that holds the input; empty if there was none."""

    name: str
    inputs: int
    seconds: float
    kept: int
    crash: str

    def __str__(self) -> str:
        speed = self.inputs / max(self.seconds, 0.001)
        end = f"CRASH {self.crash}" if self.crash else "no crash, no hang"
        figures = f"{self.inputs:>10} inputs {self.seconds:>7.0f} s {speed:>7.0f}/s {self.kept:>6} kept"
        return f"{self.name:<10} {figures}  {end}"


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="run.py", description="Fuzzes what strangers can reach.")
    parser.add_argument("--runs", type=int, default=200_000, help="inputs altogether")
    parser.add_argument("--seed", type=int, default=1, help="of the mutations")
    parser.add_argument("--only", action="append", choices=sorted(TARGETS), help="these targets")
    parser.add_argument("--folder", type=Path, default=Path("build/fuzz"), help="where inputs are kept")
    asked = parser.parse_args(argv)
    chosen = [TARGETS[name] for name in asked.only or TARGETS]
    how = "atheris (coverage)" if find_spec("atheris") else "mutation of the corpus, without coverage"
    print(f"{len(chosen)} targets, {asked.runs} inputs, seed {asked.seed}, by {how}", flush=True)
    shares = sum(target.share for target in chosen)
    ran = []
    for target in chosen:
        ran.append(run(target, -(-asked.runs * target.share // shares), asked.seed, asked.folder))
        print(ran[-1], flush=True)
    crashes = sum(bool(one.crash) for one in ran)
    print(f"{'total':<10} {sum(one.inputs for one in ran):>10} inputs, {crashes} crashes or hangs", flush=True)
    return 1 if crashes else 0


def run(target: Target, runs: int, seed: int, folder: Path) -> Ran:
    """Fuzzes one target in a process of its own; what it said is in `log` in its folder."""
    place = folder / target.name
    place.mkdir(parents=True, exist_ok=True)
    log = place / "log"
    argv = [sys.executable, "-m", "tests.fuzz.one", target.name, str(runs), str(seed), str(place)]
    began = time.monotonic()
    with log.open("wb") as out:
        status = subprocess.run(argv, stdout=out, stderr=out, stdin=subprocess.DEVNULL, check=False).returncode
    seconds = time.monotonic() - began
    said = log.read_text(errors="replace")
    counted = _RUNS.findall(said)
    crash = ""
    if status or not counted:
        named = _CRASH.search(said)
        crash = f"{place}/{named[0]}" if named else f"{place}/log"
    kept = len(list((place / "corpus").glob("*"))) if (place / "corpus").is_dir() else 0
    return Ran(target.name, int(counted[-1]) if counted else 0, seconds, kept, crash)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
