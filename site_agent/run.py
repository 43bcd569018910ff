"""`amon-agent run`: from the configuration to the living agent, and its exit code."""

import asyncio
import logging
import os
import signal
import sys
from asyncio import AbstractEventLoop
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from amon import log
from amon.errors import Failed, Problem
from amon.notify import Notify
from amon.text import visible
from amon.xmpp.tls import small_buffers
from site_agent.agent import Agent
from site_agent.configuration import Configuration, World, load
from site_agent.names import foreign_names
from site_agent.process import Life, alone, status_of

OK, FAILED = 0, 1
BAD_CONFIGURATION = 78
"""EX_CONFIG of sysexits.h: the unit does not start it again after that."""

Loop = Literal["auto", "asyncio", "uvloop"]


def run(path: Path, loop: Loop = "auto") -> int:
    """Blocks until the agent has ended."""
    log.guard()
    # Until the agent listens: a hangup that comes early must not end it.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    notify = Notify.from_environment(os.environ, os.getpid())
    loaded = load(path, World.here())
    configuration = loaded.configuration
    problems: Sequence[Problem] = loaded.problems or foreign_names()
    if configuration is None or problems:
        return _refuse(path, problems, notify)
    log.set_up(configuration.settings.log)
    small_buffers()
    try:
        with alone(configuration.settings.state), asyncio.Runner(loop_factory=_factory(loop)) as runner:
            runner.run(_live(configuration, notify, path))
    except Failed as error:
        logging.getLogger("amon.process").error("%s", error)
        return FAILED
    except Exception:
        logging.getLogger("amon.process").critical("the agent broke", exc_info=True)
        return FAILED
    return OK


async def _live(configuration: Configuration, notify: Notify, path: Path) -> None:
    life = Life(
        Agent(configuration),
        notify,
        lambda: load(path, World.here()),
        status=status_of(configuration),
        set_level=lambda level: logging.getLogger().setLevel(level.upper()),
    )
    await life.run()


def _refuse(path: Path, problems: Sequence[Problem], notify: Notify) -> int:
    for problem in problems:
        print(visible(str(problem)), file=sys.stderr)
    text = f"{path}: {len(problems)} problem{'s' if len(problems) > 1 else ''}; not started"
    print(f"{text}; next: amon-agent check --config {path}", file=sys.stderr)
    notify.status(text)
    return BAD_CONFIGURATION


def _factory(loop: Loop) -> Callable[[], AbstractEventLoop] | None:
    """uvloop where it is installed (extra `fast`), unless told otherwise."""
    if loop == "asyncio":
        return None
    try:
        import uvloop
    except ImportError:
        if loop == "uvloop":
            raise Failed("uvloop is not installed; next: pip install 'amon[fast]'") from None
        return None
    factory: Callable[[], AbstractEventLoop] = uvloop.new_event_loop
    return factory
