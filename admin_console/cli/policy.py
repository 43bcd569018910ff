"""`amon policy`: the policy of the whole fleet, made, signed and brought to every site."""

from typing import TYPE_CHECKING

import click

from admin_console.completion import complete_target
from admin_console.program import Duration, Options, Output, console_of, face_of, output_options, run

if TYPE_CHECKING:
    from admin_console.plain import PlainFace
    from admin_console.policy.desk import Agree, PolicyDesk


class Lasts(Duration):
    """How long a policy is good: longer than a command may take."""

    longest, most = 366 * 86_400.0, "a year"


def _desk(options: Options) -> "PolicyDesk":
    from admin_console.policy.desk import PolicyDesk

    return PolicyDesk.of(console_of(options))


@click.group()
def policy() -> None:
    """Who may what at all sites: one file, signed by the organisation, which a site can only narrow."""


@policy.command()
@click.pass_obj
def init(options: Options) -> None:
    """Write a first policy, in which you may everything and nobody else anything."""
    click.echo(f"{_desk(options).init()} is written; next: edit it, then amon policy push")


@policy.command()
@output_options
@click.pass_obj
def check(options: Options, output: Output) -> None:
    """Tell what is wrong with the policy, and what is different from the one that was signed last."""
    from admin_console.policy.report import difference_listing

    desk = _desk(options)
    desk.check()
    face_of(output).listing(difference_listing(desk.difference()))


@policy.command()
@click.argument("target", default="all", shell_complete=complete_target)
@output_options
@click.pass_obj
def show(options: Options, target: str, output: Output) -> None:
    """Which policy each site obeys."""
    from admin_console.policy.report import listing_of
    from amon.target import parse

    face_of(output).listing(listing_of(*run(_desk(options).show(parse(target)))))


@policy.command()
@click.argument("target", default="all", shell_complete=complete_target)
@click.option("--again", is_flag=True, help="Sign nothing; bring what was signed last, to sites that were not there.")
@click.option("--lasts", type=Lasts(), default=90 * 86_400.0, metavar="TIME", help="Good for this long.  [90 d]")
@click.option("--yes", is_flag=True, help="Do not ask.")
@output_options
@click.pass_context
def push(ctx: click.Context, target: str, again: bool, lasts: float, yes: bool, output: Output) -> None:
    """Sign the policy with the organisation's key and bring it to every site.

    What is different is shown first. The exit code is that of `amon run`.
    """
    from amon.target import parse

    face = face_of(output)
    desk = _desk(ctx.obj)
    _, report = run(desk.push(parse(target), again=again, lasts=lasts, agree=_agree(face, yes)))
    face.report(report)
    ctx.exit(int(report.exit))


@policy.command()
@click.argument("jid")
@click.argument("role", type=click.Choice(["observer", "operator", "admin", "owner"]))
@click.option("--key", type=click.Path(exists=True, dir_okay=False), help="Public key that may sign for this person.")
@click.pass_obj
def grant(options: Options, jid: str, role: str, key: str | None) -> None:
    """Put a person into the file with this role; `amon policy push` then brings it to the sites."""
    from pathlib import Path

    from admin_console.signing import public_half

    desk = _desk(options)
    changed = desk.source.grant(jid.lower(), role, public_half(Path(key))[0] if key else None)
    click.echo(f"{jid} is {role}; next: amon policy push" if changed else f"{jid} was {role} already")


@policy.command()
@click.argument("jid")
@click.pass_obj
def withdraw(options: Options, jid: str) -> None:
    """Take a person out of the file: roles, groups, rules and keys; `amon policy push` then brings it to the sites."""
    desk = _desk(options)
    changed = desk.source.withdraw(jid.lower())
    said = f"{jid} is out; next: amon policy push" if changed else f"{jid} stands nowhere in the policy"
    click.echo(desk.still_named(jid.lower()) or said)


def _agree(face: "PlainFace", yes: bool) -> "Agree":
    async def agree(change: str, question: str) -> bool:
        for line in change.splitlines():
            face.note(line)
        if yes or not face.can_ask:
            if not yes:
                face.note(f"{question} Nobody is here to say yes; next: --yes")
            return yes
        return (await face.ask(f"{question} [y/N] ")).strip().lower() in ("y", "yes")

    return agree
