"""From a line of the shell to what is asked of the sites; options are those of `amon run`, read by its own parser."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from admin_console.program import Output
from admin_console.shell.kinds import Page
from admin_console.shell.said import flags_of
from admin_console.wish import Wish
from amon.command import split
from amon.errors import Invalid
from amon.target import Expression

SESSION = 86_400.0  # seconds that a session may last: the site's own limit is what ends it
_END = "."  # behind the line, so that a line of one word is a target and a command to the parser


@dataclass(frozen=True, slots=True)
class Asked:
    """line: what goes to the sites. given: whether a time was given. format: None for that of the shell.

    save: a directory for all that each site said.
    """

    line: str
    options: dict[str, Any]
    given: bool = False
    format: str | None = None
    save: Path | None = None

    def wish(self, target: Expression, page: Page | None) -> Wish:
        """A session goes on until somebody stops it, if nobody said how long."""
        from admin_console.cli.run import wish_of

        wish: Wish = wish_of(target, self.line, self.options)
        return replace(wish, deadline=SESSION) if page is not None and page.streams and not self.given else wish

    @property
    def words(self) -> list[str]:
        return [word.text for word in split(self.line)]


def asked(rest: str, with_options: bool) -> Asked:
    """with_options: it came behind `run`. `Invalid` for options that are none, or nothing to say."""
    words = split(rest) if with_options else ()
    ctx = _parsed([*(word.text for word in words), _END] if with_options else [_END, _END])
    options = dict(ctx.params)
    output: Output = Output(options.pop("form") or "table", options.pop("color"))
    as_json = options.pop("as_json")
    save = options.pop("save", None)
    if options.pop("detach", False):
        raise Invalid("--detach is for amon run; here LINE & does not wait, and job ID tells what became of it")
    first, behind = options.pop("target"), options.pop("command")
    if with_options and first.startswith("-"):
        raise Invalid(f"amon run has no option {first[:64]!r}; next: run --help")
    line = rest[words[-len(behind)].start :] if with_options else rest
    line, flags = flags_of(line)
    if not line:
        raise Invalid("no command given; try help")
    options["dry_run"] |= "--dry-run" in flags
    options["yes"] |= "--yes" in flags
    given = ctx.get_parameter_source("timeout") is click.core.ParameterSource.COMMANDLINE
    wanted = "json" if as_json or "--json" in flags else output.format
    chosen = ctx.get_parameter_source("form") is click.core.ParameterSource.COMMANDLINE
    return Asked(line, options, given, wanted if chosen or wanted == "json" else None, save)


def _parsed(words: list[str]) -> click.Context:
    from admin_console.cli.run import run_command

    try:
        return run_command.make_context("run", words)
    except click.MissingParameter:
        raise Invalid("what is to be said? run [OPTIONS] LINE") from None
    except click.exceptions.Exit:  # --help printed itself
        raise Invalid("run [OPTIONS] LINE") from None
    except click.ClickException as wrong:
        raise Invalid(wrong.format_message()) from None
