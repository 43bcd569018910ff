"""Fuzzes one target in a process of its own: with atheris (libFuzzer's coverage) if it is there, else by mutation.

Run by `run.py`: NAME RUNS SEED FOLDER. The last line says how many inputs were run. Sources: github.com/google/atheris;
llvm.org/docs/LibFuzzer.html (options).
"""

import faulthandler
import importlib.util
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from tests.fuzz.target import LONGEST, Target

_WITHIN = 10  # seconds for one input; the slowest takes milliseconds


def main(name: str, runs: int, seed: int, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if importlib.util.find_spec("atheris") is None:
        _mutated(_target(name), runs, seed, folder)
    else:
        _covered(name, runs, seed, folder)


def _target(name: str) -> Target:
    from tests.fuzz.targets import TARGETS  # late: atheris instruments what is imported from then on

    return TARGETS[name]


def _covered(name: str, runs: int, seed: int, folder: Path) -> None:
    import atheris  # type: ignore[import-not-found,import-untyped,unused-ignore]

    with atheris.instrument_imports(include=["amon"]):
        target = _target(name)
    words = folder / "words.dict"
    words.write_text("".join(f'"{_escaped(word)}"\n' for word in target.words))
    found = folder / "corpus"
    found.mkdir(exist_ok=True)
    options = {
        "runs": runs, "seed": seed, "max_len": LONGEST, "timeout": _WITHIN, "rss_limit_mb": 1500, "dict": words,
        "artifact_prefix": f"{folder}/", "print_final_stats": 1, "verbosity": 0,
    }  # fmt: skip
    argv = [sys.argv[0], *(f"-{key}={value}" for key, value in options.items()), str(found), str(target.folder)]
    atheris.Setup(argv, _quiet(target.run))
    atheris.Fuzz()  # does not come back: libFuzzer ends the process


def _quiet(run: Callable[[bytes], None]) -> Callable[[bytes], Any]:
    return lambda data: run(bytes(data))


def _escaped(word: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word.encode("utf-8", "replace"))


def _mutated(target: Target, runs: int, seed: int, folder: Path) -> None:
    from tests.fuzz.mutate import Mutator

    mutator = Mutator(target, Random(seed))
    began = time.monotonic()
    for number in range(runs):
        if number % 1000 == 0:  # once in a while: to set it costs more than to run a small input
            faulthandler.dump_traceback_later(1000 * _WITHIN, exit=True)
        data = mutator.next()
        try:
            target.run(data)
        except BaseException:
            (folder / f"crash-{number}").write_bytes(data)
            raise
    faulthandler.cancel_dump_traceback_later()
    print(f"stat::number_of_executed_units: {runs}\nDone in {time.monotonic() - began:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
