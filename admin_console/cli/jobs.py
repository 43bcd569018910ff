"""`amon jobs`, `amon job` and the courier: their options."""

from pathlib import Path

import click

from admin_console.jobs.naming import complete_job
from admin_console.program import Options, Output, console_of, face_of, output_options, run


@click.command()
@click.option("-n", "count", type=click.IntRange(1, 2_000), default=20, show_default=True, help="The last so many.")
@output_options
@click.pass_obj
def jobs(options: Options, count: int, output: Output) -> None:
    """The last jobs of this console, newest first, as its book has them: no server is asked.

    `open` counts the sites whose end is not known here. -o quiet: only the ids of those jobs.
    """
    from admin_console.jobs.showing import show_jobs

    run(show_jobs(console_of(options), face_of(output), count))


@click.command()
@click.argument("ident", metavar="ID", shell_complete=complete_job)
@click.option("--follow", is_flag=True, help="Stay until every site has said its end.")
@click.option("--cancel", "cancels", is_flag=True, help="Tell the sites that are at it to stop; nobody else gets it.")
@click.option("--retry-failed", "retries", is_flag=True, help="A new job: the same for sites where it did not go well.")
@click.option("--yes", is_flag=True, help="With --retry-failed: do not ask before changing several sites.")
@click.option("--sign", is_flag=True, help="With --retry-failed: sign it with your own key from the start.")
@click.option(
    "--save", type=click.Path(path_type=Path, file_okay=False), help="Put all that each site said into a file there."
)
@output_options
@click.pass_context
def job(
    ctx: click.Context,
    ident: str,
    follow: bool,
    cancels: bool,
    retries: bool,
    yes: bool,
    sign: bool,
    save: Path | None,
    output: Output,
) -> None:
    """What became of a job: its table again. ID is the end of its id, as far as it is the only one.

    Sites whose end is not in the book are asked. They tell it for a week, also when this console or their own agent was
    not there meanwhile.

    \b
    amon job 7Q2K
    amon job 7Q2K --follow
    amon job 7Q2K --retry-failed
    amon run @job:7Q2K:failed service status httpd

    The exit code is as of `amon run`.
    """
    from admin_console.jobs.showing import show_job
    from admin_console.jobs.showing import try_again as again

    if follow + cancels + retries > 1:
        raise click.UsageError("say one of --follow, --cancel and --retry-failed")
    if (yes or sign) and not retries:
        raise click.UsageError("--yes and --sign go with --retry-failed")
    if retries and save is not None:
        raise click.UsageError("--save goes without --retry-failed, which is a job of its own")
    setup, face = console_of(ctx.obj), face_of(output)
    if retries:
        ctx.exit(run(again(setup, face, ident, yes=yes, sign=sign)))
    ctx.exit(run(show_job(setup, face, ident, follow=follow, cancels=cancels, save=save)))


@click.command(hidden=True)
@click.pass_obj
def courier(options: Options) -> None:
    """Bring queued jobs to sites that come back, until none is queued. `amon run --detach` begins it."""
    from admin_console.jobs.courier import serve

    run(serve(console_of(options)))
