"""`amon hub`: the fleet as one contact, as a program that serves."""

import os
from pathlib import Path

import click

from admin_console.program import Options, run

BAD_CONFIGURATION = 78
"""EX_CONFIG of sysexits.h: the unit does not start it again after that."""


@click.group(invoke_without_command=True)
@click.option("--config", type=click.Path(path_type=Path), help="The hub's configuration.  [~/.config/amon/hub.toml]")
@click.pass_context
def hub(ctx: click.Context, config: Path | None) -> None:
    """Be the fleet as one contact, until told to stop.

    What is typed in the room for several sites it sums up, for sites whose policy names it as `gatherer`. Its presence
    is the fleet's worst health. Consoles ask it for slots.

    \b
    amon hub example > hub.toml
    amon hub --config hub.toml
    """
    if ctx.invoked_subcommand is not None:
        return
    from admin_console.hub.settings import hub_path, load
    from amon.errors import Failed
    from amon.notify import Notify

    options: Options = ctx.obj
    notify = Notify.from_environment(os.environ, os.getpid())
    try:
        settings = load(config or options.config or hub_path())
    except Failed as fault:
        notify.status(str(fault))
        click.echo(f"amon: {fault}", err=True)
        ctx.exit(BAD_CONFIGURATION)
    from admin_console.hub.run import serve
    from amon.log import guard, set_up

    guard()
    set_up("debug" if options.debug else settings.log)
    run(serve(settings, notify))


@hub.command()
def example() -> None:
    """Print a configuration of the hub, with the meaning of every key."""
    from admin_console.hub.settings import example_text

    click.echo(example_text(), nl=False)


@hub.command()
def unit() -> None:
    """Print the systemd unit."""
    from importlib.resources import files

    click.echo((files("admin_console.hub") / "amon-hub.service").read_text(encoding="utf-8"), nl=False)
