"""`amon audit`: its options."""

from typing import Any, cast

import click

from admin_console.completion import complete_target
from admin_console.program import Duration, Output, console_of, face_of, output_options, run


class Ago(click.ParamType[float]):
    """How long ago, as people write it."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        from amon.units import parse_quantity

        try:
            seconds = parse_quantity(str(value), "s")
        except ValueError as wrong:
            self.fail(str(wrong), param, ctx)
        if not 0 < seconds <= 36_525 * 86_400:
            self.fail(f"{value} must be more than nothing and at most a hundred years", param, ctx)
        return seconds


@click.command()
@click.argument("target", required=False, default="all", shell_complete=complete_target)
@click.option("--since", type=Ago(), help="Lines of the last so much time, such as 2d.")
@click.option("--who", default="", metavar="JID", help="Only what this address asked.")
@click.option("--refused", is_flag=True, help="Only what was refused.")
@click.option("--count", type=click.IntRange(1, 10_000), help="The last so many lines of each site.  [100]")
@click.option("--verify", is_flag=True, help="Verify every chain as a whole, from its oldest line on.")
@click.option("--forget", "forgets", is_flag=True, help="Take what these sites show next as it is.")
@click.option("--timeout", type=Duration(), default=30.0, metavar="TIME", help="Wait this long for an answer.  [30 s]")
@click.option("--csv", "as_csv", is_flag=True, help="Short for -o csv.")
@output_options
@click.pass_context
def audit(
    ctx: click.Context,
    target: str,
    since: float | None,
    who: str,
    refused: bool,
    count: int | None,
    verify: bool,
    forgets: bool,
    timeout: float,
    as_csv: bool,
    output: Output,
) -> None:
    """What was asked of the sites of TARGET and what came of it, and whether their records were tampered with.

    Every site chains its lines by hashes. The console remembers where each chain ended and tells when one does not go
    on from there: rewritten, cut off, forked, or begun anew. What is remembered of such a site stays until --forget.

    \b
    amon audit --since 2d
    amon audit cern --who alice@example.org --refused
    amon audit all --verify

    The exit code is 1 if a chain is not what it was, else as of `amon run`.
    """
    from admin_console.audit.collect import AuditWish
    from admin_console.audit.show import Style, run_audit, run_forget
    from amon.target import parse

    if as_csv and output.format not in ("table", "csv"):
        raise click.UsageError(f"--{output.format} and --csv do not go together")
    console, meant = console_of(ctx.obj), parse(target)
    face = face_of(Output(color=output.color))
    if forgets:
        face.line(run(run_forget(console, meant)))
        return
    wish = AuditWish(meant, since, who, refused, count, verify, timeout)
    style = "csv" if as_csv else cast(Style, output.format)
    ctx.exit(run(run_audit(console, face, wish, style)))
