"""`amon shell`: its options."""

import click

from admin_console.completion import complete_target
from admin_console.program import Options, Output, console_of, output_options, run


@click.command("shell")
@click.argument("target", required=False, shell_complete=complete_target)
@output_options
@click.pass_context
def shell(ctx: click.Context, target: str | None, output: Output) -> None:
    """An interactive console: select sites, say commands, follow sessions; help tells how.

    Lines may come from a pipe, too: each is done when the one before it has ended, and the exit code is that of the
    worst.

    \b
    amon shell 'tag:tier=2'
    printf 'target all\\nuptime\\n' | amon shell -o jsonl
    """
    from admin_console.shell.run import run_shell

    options: Options = ctx.obj
    options.output = None  # each line tells its own troubles
    ctx.exit(run(run_shell(console_of(options), output, target, _note)))


def _note(text: str) -> None:
    from amon.text import visible

    click.echo(visible(text), err=True)
