"""`amon run`: its options."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click

from admin_console.completion import Commanded, complete_command, complete_target
from admin_console.program import Duration, Output, console_of, face_of, output_options, run


class Until(click.ParamType[float]):
    """A moment: in so much time (`2h`), at a time of the day (`14:00`, local), or as in ISO 8601. Epoch seconds."""

    name = "TIME"
    most = 6 * 86_400.0  # admin_console.jobs.detach.QUEUE_MOST

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        now = datetime.now().astimezone()
        try:
            when = moment(str(value), now)
        except ValueError:
            self.fail(f"{value!r} is neither a time to wait (2h) nor a moment (14:00, 2026-11-21T08:00)", param, ctx)
        if not 0 < when.timestamp() - now.timestamp() <= self.most:
            why = "at most 6 days: sites remember for 7 what they did"
            self.fail(f"{when:%Y-%m-%d %H:%M} must lie ahead, and {why}", param, ctx)
        return when.timestamp()


def moment(text: str, now: datetime) -> datetime:
    """What somebody means by a moment; `ValueError` if it is none. A time of the day is the next one there will be."""
    from amon.units import parse_quantity

    try:
        return now + timedelta(seconds=parse_quantity(text, "s"))
    except (ValueError, OverflowError):
        pass
    try:
        at = datetime.strptime(text, "%H:%M")
    except ValueError:
        when = datetime.fromisoformat(text)
        return when if when.tzinfo is not None else when.astimezone()
    today = now.replace(hour=at.hour, minute=at.minute, second=0, microsecond=0)
    return today if today > now else today + timedelta(days=1)


class Share(click.ParamType[str]):
    """A number of sites, or a share of them: `10`, `10%`."""

    name = "N|N%"

    def __init__(self, least: int = 1) -> None:
        self.least = least

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from amon.errors import Invalid
        from amon.job import parse_share

        try:
            parse_share(str(value), 100, self.least)
        except Invalid as wrong:
            self.fail(str(wrong), param, ctx)
        return str(value)


class SlotsOf(click.ParamType[tuple[str, int]]):
    """A name and a number, which the hub lends (hub.md)."""

    name = "NAME=N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        from admin_console.hub.slots_client import parse_slots
        from amon.errors import Refused

        try:
            return value if isinstance(value, tuple) else parse_slots(str(value))
        except Refused as wrong:
            self.fail(str(wrong), param, ctx)


_PACE = (
    click.option("--batch", type=Share(), help="So many sites at a time; the next when one has ended."),
    click.option("--canary", type=click.IntRange(0, 1000), default=0, help="So many first; the rest if all are done."),
    click.option("--max-failures", type=Share(0), help="Begin no more when more than so many failed."),
    click.option("--limit", type=Share(), help="Only so many of the sites, drawn by lot."),
    click.option("--seed", type=click.IntRange(0), help="Draw the same lot again."),
    click.option("--splay", type=Duration(), default=None, help="Spread the beginnings over so much time."),
    click.option("--slots", type=SlotsOf(), help="So many sites at a time in NAME, all consoles together."),
    click.option("--within", type=Duration(), help="Begin none after so much time."),
)


def pace_options(command: Any) -> Any:
    """How a job goes through many sites."""
    for option in reversed(_PACE):
        command = option(command)
    return command


@click.command(
    "run", cls=Commanded, context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False}
)
@click.option("--timeout", type=Duration(), default=30.0, metavar="TIME", help="Wait this long for answers.  [30 s]")
@click.option("--accept-by", type=Duration(), default=5.0, metavar="TIME", help="A site must begin within.  [5 s]")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--yes", is_flag=True, help="Do not ask before changing several sites.")
@click.option("--sign", is_flag=True, help="Sign it with your own key from the start.")
@pace_options
@click.option("--queue-until", type=Until(), help="Sites that are offline get it when they are back, until then.")
@click.option("--detach", is_flag=True, help="End when the sites have taken it, and print the job's id.")
@click.option("--for", "lasts", type=Duration(), help="Stop commands that stream after so much time.")
@click.option(
    "--save", type=click.Path(path_type=Path, file_okay=False), help="Put all that each site said into a file there."
)
@output_options
@click.argument("target", shell_complete=complete_target)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, shell_complete=complete_command)
@click.pass_context
def run_command(
    ctx: click.Context,
    /,
    *,
    target: str,
    command: tuple[str, ...],
    detach: bool,
    save: Path | None,
    output: Output,
    **options: Any,
) -> None:
    """Say COMMAND to every site of TARGET, and collect every answer.

    What follows TARGET is the command, as one would type it in a chat. --json, --yes and --dry-run may stand anywhere,
    the other options before TARGET. What a site wants signed is signed with `key` of the configuration, once you said
    yes to its plan. TARGET may name the sites of an earlier job: @job:7Q2K:failed.

    \b
    amon run all uptime
    amon run 'tag:tier=1 and not cern' service list
    amon run --dry-run 'service:httpd=down' service restart httpd
    amon run --canary 2 --batch 10% --max-failures 3 all service restart httpd

    The exit code is 0 if all is done, 10 some failed, 11 some did not answer, 12 the target fits no site, 13 some
    refused, 14 some are still at it, 15 cancelled.
    """
    from admin_console.fleet import run_broadcast
    from admin_console.jobs.detach import check, run_detached
    from admin_console.jobs.naming import meant
    from admin_console.words import line_of, own_flags
    from amon.target import parse

    words, flags = own_flags(command)
    output.format = "json" if "--json" in flags else output.format
    options["dry_run"] |= "--dry-run" in flags
    options["yes"] |= "--yes" in flags
    parse(target, jobs=True)  # whoever typed it wrong wants to know before anything is read
    line = line_of(words)
    setup, face = console_of(ctx.obj), face_of(output)
    wish = wish_of(meant(target, setup.ledger), line, options)
    check(wish, setup.clock.time(), detach=detach)
    if detach and save is not None:
        raise click.UsageError("--detach leaves nobody to save anything; next: amon job ID --save DIR")
    if detach:
        name, code = run(run_detached(setup, face, wish))
        click.echo(name)
        ctx.exit(code)
    report = run(run_broadcast(setup, face, wish, save=save))
    ctx.exit(int(report.exit))


def wish_of(target: Any, line: str, options: dict[str, Any]) -> Any:
    """The options as they were typed, as what is wanted."""
    from admin_console.wish import Rolling, Wish

    o = options
    rolling = Rolling(
        o["batch"] or "",
        o["canary"],
        o["max_failures"] or "",
        o["limit"] or "",
        o["seed"],
        o["splay"] or 0.0,
        o["within"],
        o.get("slots"),
    )
    accept_by = min(o["accept_by"], o["timeout"])
    return Wish(
        target, line, o["timeout"], accept_by, o["dry_run"], o["yes"], o["sign"], rolling, o["queue_until"], o["lasts"]
    )
