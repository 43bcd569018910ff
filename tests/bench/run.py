"""`make bench`: measures the budgets of the design and prints them beside what they may be.

Absolute times depend on the machine and on what else it does, so a missed budget is marked, and is an error only with
--check. A figure that could not be measured is one.
"""

import argparse
import asyncio
import dataclasses
import importlib
import json
import os
import sys
import time
from collections.abc import Sequence

from tests.bench.ground import raise_file_limit
from tests.bench.rows import Row, table

NAMES = ("agent", "calls", "journal", "signatures", "messages", "fleet", "demo", "sessions")
_WITHIN = 300.0  # seconds for one of them


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="run.py", description="Measures the budgets of the design.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"only these: {', '.join(NAMES)}")
    parser.add_argument("--quick", action="store_true", help="few repeats, small fleets: to see that it works")
    parser.add_argument("--json", action="store_true", help="the figures as JSON")
    parser.add_argument("--check", action="store_true", help="exit 1 if a budget is missed")
    asked = parser.parse_args(argv)
    unknown = [name for name in asked.names if name not in NAMES]
    if unknown:
        parser.error(f"no figure is called {unknown[0]!r}; there are {', '.join(NAMES)}")
    raise_file_limit()
    before = os.getloadavg()
    rows, failed = _measured(asked.names or NAMES, asked.quick)
    if asked.json:
        print(json.dumps([{**dataclasses.asdict(row), "ratio": row.ratio} for row in rows], indent=1))
    else:
        print(table(rows))
        print("\nused: the part of the budget that is used; above 1 it is missed. Medians; read ratios, not times.")
        print(f"{os.cpu_count()} cores; load before {before[0]:.1f}, since {os.getloadavg()[1]:.1f} (5 min)")
    for line in failed:
        print(line, file=sys.stderr)
    return 1 if failed or (asked.check and any(row.missed for row in rows)) else 0


def _measured(names: Sequence[str], quick: bool) -> tuple[list[Row], list[str]]:
    rows: list[Row] = []
    failed: list[str] = []
    for name in names:
        began = time.monotonic()
        try:
            rows += asyncio.run(_measure(name, quick))
        except Exception as error:  # one figure that cannot be had must not cost the others
            failed.append(f"{name}: not measured: {type(error).__name__}: {error}")
        print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    return rows, failed


async def _measure(name: str, quick: bool) -> list[Row]:
    module = importlib.import_module(f"tests.bench.{name}")
    async with asyncio.timeout(_WITHIN):
        rows: list[Row] = await module.measure(quick)
    return rows


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
