"""`amon approve`, `revoke`, `admin` and `server restore`: sites and people come and go."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from admin_console.completion import complete_site
from admin_console.program import TROUBLE, Options, console_of, run

if TYPE_CHECKING:
    from admin_console.provision.book import SiteEntry
    from admin_console.provision.desk import Desk
    from admin_console.provision.steps import Steps
    from amon.access.sshsig import PublicKey

_WAIT = 15.0  # seconds for an agent that is just being started
JSON = click.option("--json", "as_json", is_flag=True, help="One JSON document.")


def desk_of(options: Options, quiet: bool = False) -> "Desk":
    from dataclasses import replace

    from admin_console.provision.desk import Desk

    said = (lambda text: None) if quiet else _note
    return replace(Desk.of(console_of(options)), said=said, progress=_progress())


def _note(text: str) -> None:
    from amon.text import visible

    click.echo(visible(text), err=True)


def _progress() -> Callable[[int, int], None]:
    """A counter on a terminal, where many are done."""
    shown = sys.stderr.isatty()

    def told(done: int, of: int) -> None:
        if shown and of > 20:
            click.echo(f"\r{done} of {of}", err=True, nl=done == of)

    return told


@click.command()
@click.argument("site")
@click.option("--fingerprint", default=None, metavar="SHA256:...", help="What the site showed; refuse any other key.")
@click.option("--yes", is_flag=True, help="Believe whatever key is shown.")
@JSON
@click.pass_obj
def approve(options: Options, site: str, fingerprint: str | None, yes: bool, as_json: bool) -> None:
    """Let an enrolled site into the fleet, after its key was compared with what `amon-agent enroll` showed."""
    desk = desk_of(options, quiet=as_json)
    _end(run(_approve(desk, site, fingerprint, yes)), as_json)


async def _approve(desk: "Desk", site: str, fingerprint: str | None, yes: bool) -> "Steps":
    from admin_console.provision.approving import approve as do
    from admin_console.provision.approving import bringer, compare, had_before, look
    from admin_console.session import logged_in

    entry = desk.book.site(site)
    async with logged_in(desk.console) as session:
        key = await look(session, entry, _WAIT)
        if warning := had_before(entry, key):
            desk.said(warning)
        if fingerprint is not None:
            compare(entry, key, fingerprint)
        elif not yes:
            await _ask(desk, entry, key)
        return await do(session, desk, entry, key, bringer(desk.console))


async def _ask(desk: "Desk", entry: "SiteEntry", key: "PublicKey") -> None:
    """A person says whether these are the letters that the site showed."""
    from admin_console.plain import PlainFace
    from amon.errors import Failed

    face = PlainFace()
    face.note(f"site:    {entry.name}\naddress: {entry.jid}\nkey:     {key.fingerprint}")
    if not face.can_ask:
        raise Failed(f"nobody is here to compare; next: amon approve {entry.name} --fingerprint SHA256:...")
    if (await face.ask("is this the key that the site showed when it was enrolled? [yes/no] ")).strip() != "yes":
        raise Failed("not approved, because that takes the whole word yes; nothing was changed")


async def _sure(entry: "SiteEntry") -> None:
    from admin_console.plain import PlainFace
    from amon.errors import Failed

    face = PlainFace()
    question = f"delete {entry.jid}, and take it out of the room? [y/N] "
    if face.can_ask and (await face.ask(question)).strip().lower() not in ("y", "yes"):
        raise Failed("not revoked; nothing was changed")


def _end(steps: "Steps", as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(steps.document(), indent=2))
    elif steps.failed:
        click.echo(f"amon: {len(steps.failed)} of {len(steps.done)} steps failed; what to do stands above", err=True)
    if steps.failed:
        click.get_current_context().exit(TROUBLE)


@click.command()
@click.argument("site", shell_complete=complete_site)
@click.option("--yes", is_flag=True, help="Do not ask.")
@JSON
@click.pass_obj
def revoke(options: Options, site: str, yes: bool, as_json: bool) -> None:
    """Take one site out: its account, its place in the room, its key. No other site notices.

    Asks first where somebody sits at a terminal.
    """
    from admin_console.provision.approving import revoke as do
    from admin_console.provision.desk import known_site
    from admin_console.session import logged_in

    desk = desk_of(options, quiet=as_json)

    async def work() -> "Steps":
        async with logged_in(desk.console) as session:
            entry = await known_site(session, desk, site)
            if not yes:
                await _sure(entry)
            return await do(session, desk, entry)

    _end(run(work()), as_json)


@click.group()
def admin() -> None:
    """People who may ask the fleet."""


@admin.command("add")
@click.argument("jid")
@click.option("--role", type=click.Choice(["observer", "operator", "admin", "owner"]), default="operator")
@click.option("--new-account", is_flag=True, help="Make the account; its password is shown once.")
@click.option(
    "--password-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write it to this file, mode 0600, instead.",
)
@JSON
@click.pass_obj
def add(options: Options, jid: str, role: str, new_account: bool, password_file: Path | None, as_json: bool) -> None:
    """Give somebody account, place in the room, contacts and a role in the policy."""
    from admin_console.policy.desk import grants_of
    from admin_console.provision.admins import NewAccount, add_admin

    desk = desk_of(options, quiet=as_json)
    shown: list[str] = []
    show = shown.append if as_json else lambda text: click.echo(f"password of {jid}: {text}")
    account = NewAccount(password_file, show) if new_account or password_file else None
    steps = run(add_admin(desk, jid, role, account=account, grants=grants_of(desk.console)))
    if as_json and shown:
        click.echo(json.dumps({**steps.document(), "password": shown[0]}, indent=2))
        return _end_quietly(steps)
    return _end(steps, as_json)


def _end_quietly(steps: "Steps") -> None:
    if steps.failed:
        click.get_current_context().exit(TROUBLE)


@admin.command("remove")
@click.argument("jid")
@click.option("--delete-account", is_flag=True, help="Delete the account, too, if amon did not make it.")
@JSON
@click.pass_obj
def remove(options: Options, jid: str, delete_account: bool, as_json: bool) -> None:
    """Take all of that from somebody, at once."""
    from admin_console.policy.desk import grants_of
    from admin_console.provision.admins import remove_admin

    desk = desk_of(options, quiet=as_json)
    work = remove_admin(desk, jid, delete_account=delete_account, grants=grants_of(desk.console))
    _end(run(work), as_json)


@click.command("restore")
@click.option("--from-backup", is_flag=True, help="Its data is old: sites that do not come get their first secret.")
@JSON
@click.pass_obj
def restore(options: Options, from_backup: bool, as_json: bool) -> None:
    """Give a server that lost its data all accounts, the room, members and admins again, from the fleet book.

    Sites come back by themselves, with the secrets they were enrolled with. What is there already stays as it is.
    """
    from admin_console.provision.restoring import restore as do

    _end(run(do(desk_of(options, quiet=as_json), from_backup=from_backup)), as_json)
