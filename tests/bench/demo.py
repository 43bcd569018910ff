"""The demo, from starting the program to the first broadcast whose book is closed; packages are installed."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.bench.ground import ROOT
from tests.bench.rows import Row, middle, spread

_MARK = b"first broadcast collected"  # the demo says so
_WITHIN = 60.0
_BUDGET = 10.0


async def measure(quick: bool) -> list[Row]:
    took = [await _once() for _ in range(1 if quick else 3)]
    return [
        Row("demo: start to the first collected broadcast", middle(took), "s", _BUDGET, "less", f"{spread(took)} s")
    ]


async def _once() -> float:
    began = time.perf_counter()
    said = b""
    async with asyncio.timeout(_WITHIN), _demo() as process:
        assert process.stdout is not None
        async for line in process.stdout:
            said += line
            if _MARK in line:
                took = time.perf_counter() - began
                break
        else:
            raise RuntimeError(f"the demo did not collect anything: {said.decode(errors='replace')[-500:]}")
        await process.stdout.read()
        if await process.wait():
            raise RuntimeError(f"the demo ended with {process.returncode}")
    return took


@asynccontextmanager
async def _demo() -> AsyncIterator[asyncio.subprocess.Process]:
    """The demo as a process; asked to end where it has not, so that it clears up."""
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("amon")),
        "demo",
        "--once",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        cwd=ROOT,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
