"""Real small programs, and a service instance on the stage whose state outlives it."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import psutil
import pytest

from amon.testing import FakeClock, Stage, stage
from modules.service import Service, ServiceModule, Settings

Opened = Callable[..., AbstractAsyncContextManager[Stage]]


class Programs(Protocol):
    def __call__(self, body: str, name: str = "ce") -> tuple[str, ...]: ...


@pytest.fixture
def program(tmp_path: Path) -> Programs:
    """Writes a small Python program and gives its argv; its text may use `here`, the test's directory."""

    def write(body: str, name: str = "ce") -> tuple[str, ...]:
        path = tmp_path / f"{name}.py"
        path.write_text(f"import os, signal, socket, subprocess, sys, time\nhere = {str(tmp_path)!r}\n{body}\n")
        return (sys.executable, "-I", "-u", str(path))

    return write


@pytest.fixture
def script(tmp_path: Path) -> Programs:
    """Writes a shell script and gives its argv."""

    def write(body: str, name: str = "script") -> tuple[str, ...]:
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\nhere={tmp_path}\n{body}\n")
        path.chmod(0o755)
        return (str(path),)

    return write


@pytest.fixture
def services(tmp_path: Path, clock: FakeClock) -> Opened:
    """`async with services(ce=Service(...)) as site:`; a second one is the next agent."""

    @asynccontextmanager
    async def opened(settings: Settings | None = None, **named: Service) -> AsyncIterator[Stage]:
        settings = settings or Settings(services=named)
        async with stage(ServiceModule, settings, clock=clock, state=tmp_path / "state") as site:
            yield site

    return opened


@pytest.fixture(autouse=True)
def _nothing_stays(tmp_path: Path) -> Iterator[None]:
    """Services are meant to survive the agent, so the test has to end them: all that know its directory."""
    yield
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if any(str(tmp_path) in word for word in process.cmdline()):
                process.kill()
                process.wait(5)


async def until(wanted: Callable[[], Any]) -> Any:
    """Wait for something outside this process to be so; the test's time limit is the limit."""
    while not (found := wanted()):  # noqa: ASYNC110 - files and processes set no events here
        await asyncio.sleep(0.02)
    return found


@pytest.fixture(name="until")
def _until() -> Callable[[Callable[[], Any]], Any]:
    return until
