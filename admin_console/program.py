"""What every command of `amon` shares: its options, its console and face, and one clear line for every trouble.

Everything but click is imported where it is used, so that `amon --help` and completion are quick.
"""

import asyncio
import errno
import os
import shlex
import shutil
import sys
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from amon.errors import Failed, Invalid, Refused

if TYPE_CHECKING:
    from admin_console.plain import PlainFace
    from admin_console.session import Setup

T = TypeVar("T")
USAGE, TROUBLE, INTERRUPTED = 2, 1, 130


@dataclass(slots=True)
class Options:
    """Of the whole program."""

    config: Path | None
    debug: bool


def called() -> str:
    """This program as one has to type it elsewhere: `make demo` runs it from a place that no PATH knows."""
    mine = Path(sys.argv[0]).absolute()
    found = shutil.which("amon")
    known = not mine.is_file() or (found is not None and mine.samefile(found))
    return "amon" if known else shlex.quote(str(mine))


class Amon(click.Group):
    """A group that says every trouble in one clear line. A bug says that it is one."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except (click.exceptions.Exit, click.ClickException, click.Abort, BrokenPipeError):
            raise
        except Exception as error:
            if ctx.params.get("debug"):
                from amon.log import traceback_of

                click.echo(traceback_of(error), nl=False, err=True)
            ctx.exit(_say(error))
        except KeyboardInterrupt:
            click.echo("stopped", err=True)
            ctx.exit(INTERRUPTED)
        return result


def _say(error: Exception) -> int:
    """The line for this trouble, and the exit code."""
    from admin_console.broadcast import NobodyMeant
    from amon.fields import discreet
    from amon.job import ExitCode
    from amon.text import visible

    if isinstance(error, NobodyMeant):
        click.echo(f"amon: {visible(discreet(str(error)))}", err=True)
        return int(ExitCode.none_matched)
    if isinstance(error, Invalid):
        click.echo(f"amon: {visible(discreet(error.pointed()))}", err=True)
        return USAGE
    if isinstance(error, Failed | Refused):
        click.echo(f"amon: {visible(discreet(str(error)))}", err=True)
        return TROUBLE
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or Python tries again, and ends with 120
        click.echo("amon: the disk of standard output is full; what was asked for may be done all the same", err=True)
        return TROUBLE
    said = visible(discreet(f"{type(error).__name__}: {error}"), lines=False)[:300]
    click.echo(f"amon: bug: {said}; run again with `amon --debug ...` and report what it says", err=True)
    return TROUBLE


class Duration(click.ParamType[float]):
    """A duration as people write it."""

    name = "TIME"
    longest, most = 86_400.0, "a day"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        from amon.units import parse_quantity

        try:
            seconds = float(value) if isinstance(value, float) else parse_quantity(str(value), "s")
        except ValueError as wrong:
            self.fail(str(wrong), param, ctx)
        if not 0 < seconds <= self.longest:
            self.fail(f"{value} must be more than nothing and at most {self.most}", param, ctx)
        return seconds


def console_of(options: Options) -> "Setup":
    """The console that the configuration says."""
    from admin_console.session import Setup
    from admin_console.settings import default_path, load

    path = options.config or default_path()
    return Setup.of(load(path), path)


def face_of(as_json: bool = False) -> "PlainFace":
    """The face that suits where standard output goes. rich is imported for a terminal only."""
    if as_json:
        from admin_console.report import JsonFace

        return JsonFace()
    if sys.stdout.isatty():
        from admin_console.live import LiveFace

        return LiveFace()
    from admin_console.plain import PlainFace

    return PlainFace()


def run(work: Coroutine[Any, Any, T]) -> T:
    try:
        return asyncio.run(work)
    except asyncio.CancelledError:  # a signal asked for it
        raise KeyboardInterrupt from None
