"""The command `amon`: what can be said to it. Each command only reads its words and calls what does the work."""

import logging
from pathlib import Path

import click

from admin_console.cli.audit import audit
from admin_console.cli.enroll import enroll
from admin_console.cli.hub import hub
from admin_console.cli.jobs import courier, job, jobs
from admin_console.cli.policy import policy
from admin_console.cli.provision import admin, approve, restore, revoke
from admin_console.cli.run import run_command
from admin_console.cli.setup import room, server
from admin_console.cli.shell import shell
from admin_console.cli.sign import sign_challenge
from admin_console.completion import complete_target
from admin_console.program import Amon, Options, Output, console_of, face_of, output_options, run


@click.group(cls=Amon, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--config", type=click.Path(path_type=Path), envvar="AMON_CONFIG", help="The console's configuration.")
@click.option("--debug", is_flag=True, help="Log what happens, and show where a bug is.")
@click.version_option(package_name="amon", prog_name="amon")
@click.pass_context
def cli(ctx: click.Context, config: Path | None, debug: bool) -> None:
    """Ask a fleet of sites over XMPP, and have every one of them answer."""
    ctx.obj = Options(config, debug)
    # Without a handler of ours Python would print warnings of rooms below; what matters is said as an error.
    logging.getLogger().addHandler(logging.NullHandler())
    if debug:
        from amon.log import guard, set_up

        set_up("debug")
        guard()


@cli.command()
@click.argument("target", required=False, shell_complete=complete_target)
@output_options
@click.pass_obj
def sites(options: Options, target: str | None, output: Output) -> None:
    """How every site is, worst first, by presence: nobody is asked. -o quiet: only names of those that are not well."""
    from admin_console.fleet import show_sites
    from admin_console.jobs.naming import meant
    from amon.target import parse

    target = target if target is not None else "all"
    parse(target, jobs=True)  # whoever typed it wrong wants to know before anything is read
    setup = console_of(options)
    run(show_sites(setup, face_of(output), meant(target, setup.ledger)))


@cli.command()
def example() -> None:
    """Print a configuration of the console, with the meaning of every key."""
    from admin_console.settings import example_text

    click.echo(example_text(), nl=False)


@cli.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script that completes commands and sites in this shell.

    \b
    bash:  eval "$(amon completion bash)"    in ~/.bashrc
    zsh:   eval "$(amon completion zsh)"     in ~/.zshrc
    fish:  amon completion fish > ~/.config/fish/completions/amon.fish
    """
    from admin_console.shells import completion_class

    click.echo(completion_class(shell)(cli, {}, "amon", "_AMON_COMPLETE").source())


@cli.command()
@click.option("--once", is_flag=True, help="End after the show, as it does without a terminal.")
@click.option(
    "--svg", type=click.Path(path_type=Path, dir_okay=False), help="Write a picture of the show to this file."
)
def demo(once: bool, svg: Path | None) -> None:
    """The real thing on this machine: a private server, three agents, a broken service mended."""
    from admin_console.demo.show import run_demo

    run(run_demo(once=once, svg=svg))


for command in (enroll, approve, revoke, admin):
    cli.add_command(command)
server.add_command(restore)
cli.add_command(audit)
cli.add_command(hub)
cli.add_command(courier)
cli.add_command(job)
cli.add_command(jobs)
cli.add_command(policy)
cli.add_command(room)
cli.add_command(run_command)
cli.add_command(server)
cli.add_command(shell)
cli.add_command(sign_challenge)


def main() -> None:
    """The entry point."""
    cli(prog_name="amon")
