"""What every command of `amon` shares: its options, its console and face, and one clear line for every trouble.

Everything but click is imported where it is used, so that `amon --help` and completion are quick.
"""

import asyncio
import errno
import functools
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Coroutine
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
FORMATS = ("table", "json", "jsonl", "csv", "quiet")


@dataclass(slots=True)
class Output:
    """How results are wanted: one of `FORMATS` (--json behind a target changes it), and auto, always or never."""

    format: str = "table"
    color: str = "auto"


@dataclass(slots=True)
class Options:
    """Of the whole program. output: of the command that is under way, if it has a choice."""

    config: Path | None
    debug: bool
    output: Output | None = None


def called() -> str:
    """This program as one has to type it elsewhere: `make demo` runs it from a place that no PATH knows."""
    mine = Path(sys.argv[0]).absolute()
    found = shutil.which("amon")
    known = not mine.is_file() or (found is not None and mine.samefile(found))
    return "amon" if known else shlex.quote(str(mine))


class Amon(click.Group):
    """A group that says every trouble in one clear line. A bug says that it is one."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """What every program may expect of its streams, before a connection gets the number of one that is closed."""
        if "_AMON_COMPLETE" in os.environ:
            from admin_console.shells import register

            register()
        if open_streams():
            return super().main(*args, **kwargs)
        click.echo(
            "amon: standard output is closed; nothing was done; next: >/dev/null if nobody is to read it", err=True
        )
        sys.exit(TROUBLE)

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
            ctx.exit(_told(ctx, *trouble(error)))
        except KeyboardInterrupt:
            click.echo("stopped", err=True)
            ctx.exit(INTERRUPTED)
        return result


def open_streams() -> bool:
    """Whether there is a standard output. What is missing of the three becomes /dev/null."""
    there = sys.stdout is not None
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:  # Python found it closed
            nobody = os.open(os.devnull, os.O_RDWR)
            if nobody != number:
                os.dup2(nobody, number)
                os.close(nobody)
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115 for as long as we live
    return there


def _told(ctx: click.Context, text: str, code: int) -> int:
    """Says the trouble; to a program that reads JSON in its own way, too."""
    from amon.fields import discreet
    from amon.text import visible

    click.echo(f"amon: {visible(discreet(text))}", err=True)
    output = ctx.obj.output if isinstance(ctx.obj, Options) else None
    if output is not None and output.format in ("json", "jsonl"):
        import json

        click.echo(json.dumps({"error": discreet(text), "exit": code}))
    return code


def trouble(error: Exception) -> tuple[str, int]:
    """The words for this trouble, and the exit code."""
    from admin_console.wish import NobodyMeant
    from amon.job import ExitCode

    if isinstance(error, NobodyMeant):
        return str(error), int(ExitCode.none_matched)
    if isinstance(error, Invalid):
        return error.pointed(), USAGE
    if isinstance(error, Failed | Refused):
        return str(error), TROUBLE
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or Python tries again, and ends with 120
        return "the disk of standard output is full; what was asked for may be done all the same", TROUBLE
    from amon.fields import discreet
    from amon.text import visible

    said = visible(discreet(f"{type(error).__name__}: {error}"), lines=False)[:300]
    return f"bug: {said}; run again with `amon --debug ...` and report what it says", TROUBLE


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


def output_options(command: Callable[..., T]) -> Callable[..., T]:
    """`-o`, its short form `--json`, and `--color`: the command is called with one `output: Output` for all three."""

    @click.option("-o", "--output", "form", type=click.Choice(FORMATS), help="How to show it.  [table]")
    @click.option("--json", "as_json", is_flag=True, help="Short for -o json.")
    @click.option("--color", type=click.Choice(["auto", "always", "never"]), default="auto", help="[auto]")
    @functools.wraps(command)
    def wrapped(*args: Any, form: str | None, as_json: bool, color: str, **kwargs: Any) -> T:
        if as_json and form not in (None, "json"):
            raise click.UsageError(f"--json and -o {form} do not go together")
        output = Output("json" if as_json else form or "table", color)
        options = click.get_current_context().obj
        if isinstance(options, Options):
            options.output = output
        return command(*args, output=output, **kwargs)

    return wrapped


def face_of(output: Output | None = None, *, moving: bool = True) -> "PlainFace":
    """The face that suits what is wanted and where standard output goes. rich is imported for colours only.

    moving: whether a picture may be drawn while sites work.
    """
    output = output or Output()
    if output.format == "json":
        from admin_console.report import JsonFace

        return JsonFace()
    if output.format != "table":
        from admin_console import formats

        return {"jsonl": formats.LinesFace, "csv": formats.CsvFace, "quiet": formats.QuietFace}[output.format]()
    if sys.stdout.isatty() or coloured(output.color):
        from admin_console.live import LiveFace, console_for

        colours = coloured(output.color)
        console = console_for(sys.stdout, colours, colours or None)
        return LiveFace(console=console, moving=moving and sys.stderr.isatty())
    from admin_console.plain import PlainFace

    return PlainFace()


def coloured(color: str) -> bool:
    """Sources: no-color.org, force-color.org; what is said to us goes before what is said to everybody."""
    said = os.environ.get
    if color != "auto" or said("NO_COLOR") or said("TERM") == "dumb":
        return color == "always"
    return bool(said("FORCE_COLOR")) or sys.stdout.isatty()


def run(work: Coroutine[Any, Any, T]) -> T:
    try:
        return asyncio.run(work)
    except asyncio.CancelledError:  # a signal asked for it
        raise KeyboardInterrupt from None
