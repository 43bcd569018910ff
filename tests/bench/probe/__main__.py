"""`make bench-probe`: the packet engine beside its peers, each on the same ground; figure, budget, ratio. Needs root.

Fails if a ratio of one and the same run misses its budget or a packet is unaccounted for, never for absolute rates.
"""

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict

from tests.bench.probe import peers
from tests.bench.probe.figures import ALL, QUICK, Figures, Size
from tests.bench.probe.timed import CORE
from tests.bench.rows import table

_WITHIN = 240.0  # seconds for one of them


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="tests.bench.probe", description="Measures the packet engine and its peers.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"only these: {', '.join(ALL)}")
    parser.add_argument("--quick", action="store_true", help="a few thousand packets, to see that it works: no gate")
    parser.add_argument("--json", action="store_true", help="the figures as JSON")
    parser.add_argument("--no-gate", action="store_true", help="exit 0 whatever the ratios are")
    asked = parser.parse_args(argv)
    unknown = [name for name in asked.names if name not in ALL]
    if unknown:
        parser.error(f"no figure is called {unknown[0]!r}; there are {', '.join(ALL)}")
    if os.geteuid():
        parser.error("makes network namespaces; next: as root")
    _stay_away()
    found = Figures()
    failed = [line for name in asked.names or ALL if (line := _measure(name, QUICK if asked.quick else Size(), found))]
    _print(found, as_json=asked.json)
    for line in failed:
        print(line, file=sys.stderr)
    missed = any(row.missed for row in found.gates)
    return 1 if failed or (missed and not (asked.no_gate or asked.quick)) else 0


def _stay_away() -> None:
    """This process takes the batches; the prober has its core for itself."""
    others = os.sched_getaffinity(0) - {CORE}
    if others:
        os.sched_setaffinity(0, others)


def _measure(name: str, size: Size, found: Figures) -> str:
    """What went wrong, if it could not be measured."""
    began = time.monotonic()
    try:
        figures = asyncio.run(_bounded(name, size))
    except Exception as error:  # one figure that cannot be had must not cost the others
        return f"{name}: not measured: {type(error).__name__}: {error}"
    finally:
        print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    found.gates += figures.gates
    found.shown += figures.shown
    return ""


async def _bounded(name: str, size: Size) -> Figures:
    async with asyncio.timeout(_WITHIN):
        return await ALL[name](size)


def _print(found: Figures, *, as_json: bool) -> None:
    if as_json:
        groups = {"gates": found.gates, "shown": found.shown}
        print(json.dumps({name: [{**asdict(row), "used": row.ratio} for row in rows] for name, rows in groups.items()}))
        return
    print("ratios (a missed one fails)\n" + table(found.gates))
    print("\nfigures of this machine, now (none of them fails)\n" + table(found.shown))
    names = ("fping", "zmap", "masscan", "trafgen", "scamper")
    print(f"\n{', '.join(f'{name} {peers.version(name)}' for name in names)}; Linux {os.uname().release};")
    print(f"{os.cpu_count()} cores, probers on core {CORE}; load {os.getloadavg()[0]:.1f}.")
    print("CPU/M: CPU seconds per million packets sent.")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
