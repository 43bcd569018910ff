"""`amon enroll`, `approve`, `revoke`, `admin` and `server restore`: sites and people come and go."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from admin_console.program import TROUBLE, Options, console_of, face_of, run
from amon.files import below

if TYPE_CHECKING:
    from admin_console.provision.book import SiteEntry
    from admin_console.provision.desk import Desk
    from admin_console.provision.enrolling import Results, Wish
    from admin_console.provision.pending import Waiting
    from admin_console.provision.steps import Steps
    from amon.access.sshsig import PublicKey

_WAIT = 15.0  # seconds for an agent that is just being started
_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON document.")


class Days(click.ParamType[float]):
    """How long a token is good."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        from amon.units import parse_quantity

        try:
            seconds = float(value) if isinstance(value, float) else parse_quantity(str(value), "s")
        except ValueError as wrong:
            self.fail(str(wrong), param, ctx)
        if not 60 <= seconds <= 366 * 86_400:
            self.fail(f"{value} must be from a minute to a year", param, ctx)
        return seconds


class Tag(click.ParamType[tuple[str, str]]):
    """`key=value`."""

    name = "K=V"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        key, sign, text = str(value).partition("=")
        if not key or not sign or not text:
            self.fail(f"'{value}' is no tag; it looks like tier=1", param, ctx)
        return key, text


def _desk(options: Options, quiet: bool = False) -> "Desk":
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
@click.argument("sites", nargs=-1, metavar="SITE...")
@click.option("--expires", type=Days(), default=7 * 86_400.0, metavar="TIME", help="The token is good so long.  [7 d]")
@click.option("--tag", "tags", type=Tag(), multiple=True, metavar="K=V", help="A fact about it. May be given often.")
@click.option("--domain", default=None, help="Of the sites' accounts.  [`agents` of console.toml, else that of others]")
@click.option("--host", default=None, help="What the site connects to, if not what this console does.")
@click.option("--port", type=click.IntRange(1, 65535), default=None, help="Its port, if not this console's.")
@click.option(
    "--again", is_flag=True, help="For a site that was built anew or revoked: it is out until approved again."
)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Write DIR/SITE.token, mode 0600.")
@click.option("--list", "listing", is_flag=True, help="Show who was invited and is not approved yet.")
@click.option("--prune", "pruning", is_flag=True, help="Take back tokens that nobody used in time, and nothing else.")
@_JSON
@click.pass_obj
def enroll(
    options: Options,
    sites: tuple[str, ...],
    expires: float,
    tags: tuple[tuple[str, str], ...],
    domain: str | None,
    host: str | None,
    port: int | None,
    again: bool,
    out: Path | None,
    listing: bool,
    pruning: bool,
    as_json: bool,
) -> None:
    """Make the account of a new site, and the token that opens it once.

    The token goes to standard output; whoever has it can become this site until it was used.

    \b
    amon enroll cern | ssh cern sudo amon-agent enroll -
    amon enroll --tag tier=1 --out tokens cern infn-t1
    amon enroll --list
    """
    from admin_console.provision.enrolling import Wish

    if ((listing or pruning) and sites) or not (listing or pruning or sites):
        raise click.UsageError("say either SITE..., or --list, or --prune")
    desk = _desk(options)
    if listing:
        _show_waiting(desk, as_json)
    elif pruning:
        _prune(desk, as_json)
    else:
        wish = Wish(expires, domain, dict(tags), host, port, again)
        click.get_current_context().exit(_enroll(desk, sites, wish, out, as_json))


def _enroll(desk: "Desk", sites: tuple[str, ...], wish: "Wish", out: Path | None, as_json: bool) -> int:
    from admin_console.provision.enrolling import enroll as do

    if len(sites) > 1 and out is None and not as_json:
        raise click.UsageError("several tokens on one standard output get mixed up; add --out DIR or --json")
    results = run(do(desk, sites, wish))
    reached = wish.host or desk.console.settings.host or ""
    if reached == "localhost" or reached.startswith("127.") or reached == "::1":
        desk.said(f"these tokens lead to {reached}, which is another place on another host; next: --again --host NAME")
    if out is not None:
        _write_tokens(results, out)
    if as_json:
        click.echo(json.dumps({"sites": [_plain(name, end, out) for name, end in results]}, indent=2))
    else:
        _print_tokens(desk, results, out)
    return TROUBLE if any(isinstance(end, Exception) for _, end in results) else 0


def _write_tokens(results: "Results", out: Path) -> None:
    from admin_console.server.files import write_private

    out.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, end in results:
        if not isinstance(end, Exception):
            write_private(below(out, f"{name}.token"), end.token() + "\n")


def _print_tokens(desk: "Desk", results: "Results", out: Path | None) -> None:
    for name, end in results:
        if isinstance(end, Exception):
            desk.said(f"FAILED {name}: {end}")
            continue
        if out is None:
            click.echo(end.token())
        where = below(out, f"{name}.token") if out else "above"
        desk.said(f"{name}: the token is {where}, good once, until {_when(end.expires)}")
        desk.said("  there: amon-agent enroll -   (paste it, then Ctrl-D), and start the agent")
        desk.said(f"  here:  amon approve {name}    when you have compared its key")


def _plain(name: str, end: Any, out: Path | None) -> dict[str, Any]:
    if isinstance(end, Exception):
        return {"site": name, "ok": False, "text": str(end)}
    token = {"file": str(below(out, f"{name}.token"))} if out else {"token": end.token()}
    return {"site": name, "ok": True, "jid": end.jid, "expires": end.expires, **token}


def _when(at: float) -> str:
    from datetime import UTC, datetime

    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"


def _show_waiting(desk: "Desk", as_json: bool) -> None:
    from admin_console.provision.pending import waiting
    from admin_console.tables import Grid

    found = run(waiting(desk))
    if as_json:
        click.echo(json.dumps({"waiting": [_plain_waiting(one) for one in found]}, indent=2))
        return
    rows = tuple((one.entry.name, one.how, one.key, _when(one.entry.expires), one.entry.by) for one in found)
    face = face_of()
    if rows:
        face.grid(Grid(("site", "how", "key", "token until", "by"), rows))
    face.line("nobody waits" if not rows else "next: amon approve SITE, when you have compared its key")


def _plain_waiting(one: "Waiting") -> dict[str, Any]:
    entry = one.entry
    return {
        "site": entry.name, "jid": entry.jid, "how": one.how, "key": one.key, "expires": entry.expires, "by": entry.by,
    }  # fmt: skip


def _prune(desk: "Desk", as_json: bool) -> None:
    from admin_console.provision.pending import prune
    from admin_console.session import logged_in

    async def work() -> list[str]:
        async with logged_in(desk.console) as session:
            return await prune(session, desk)

    gone = run(work())
    if as_json:
        click.echo(json.dumps({"taken_back": gone}, indent=2))
    elif not gone:
        click.echo("nothing to take back")


@click.command()
@click.argument("site")
@click.option("--fingerprint", default=None, metavar="SHA256:...", help="What the site showed; refuse any other key.")
@click.option("--yes", is_flag=True, help="Believe whatever key is shown.")
@_JSON
@click.pass_obj
def approve(options: Options, site: str, fingerprint: str | None, yes: bool, as_json: bool) -> None:
    """Let an enrolled site into the fleet, after its key was compared with what `amon-agent enroll` showed."""
    desk = _desk(options, quiet=as_json)
    _end(run(_approve(desk, site, fingerprint, yes)), as_json)


async def _approve(desk: "Desk", site: str, fingerprint: str | None, yes: bool) -> "Steps":
    from admin_console.provision.approving import approve as do
    from admin_console.provision.approving import bringer, compare, look
    from admin_console.session import logged_in

    entry = desk.book.site(site)
    async with logged_in(desk.console) as session:
        key = await look(session, entry, _WAIT)
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
        raise Failed("not approved; nothing was changed")


def _end(steps: "Steps", as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(steps.document(), indent=2))
    elif steps.failed:
        click.echo(f"amon: {len(steps.failed)} of {len(steps.done)} steps failed, see above; say it again", err=True)
    if steps.failed:
        click.get_current_context().exit(TROUBLE)


@click.command()
@click.argument("site")
@_JSON
@click.pass_obj
def revoke(options: Options, site: str, as_json: bool) -> None:
    """Take one site out: its account, its place in the room, its key. No other site notices."""
    from admin_console.provision.approving import revoke as do
    from admin_console.provision.desk import known_site
    from admin_console.session import logged_in

    desk = _desk(options, quiet=as_json)

    async def work() -> "Steps":
        async with logged_in(desk.console) as session:
            return await do(session, desk, await known_site(session, desk, site))

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
@_JSON
@click.pass_obj
def add(options: Options, jid: str, role: str, new_account: bool, password_file: Path | None, as_json: bool) -> None:
    """Give somebody account, place in the room, contacts and a role in the policy."""
    from admin_console.policy.desk import grants_of
    from admin_console.provision.admins import NewAccount, add_admin

    desk = _desk(options, quiet=as_json)
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
@_JSON
@click.pass_obj
def remove(options: Options, jid: str, delete_account: bool, as_json: bool) -> None:
    """Take all of that from somebody, at once."""
    from admin_console.policy.desk import grants_of
    from admin_console.provision.admins import remove_admin

    desk = _desk(options, quiet=as_json)
    work = remove_admin(desk, jid, delete_account=delete_account, grants=grants_of(desk.console))
    _end(run(work), as_json)


@click.command("restore")
@_JSON
@click.pass_obj
def restore(options: Options, as_json: bool) -> None:
    """Give a server that lost its data all accounts, the room, members and admins again, from the fleet book.

    Sites come back by themselves, with the secrets they were enrolled with. What is there already stays as it is.
    """
    from admin_console.provision.restoring import restore as do

    _end(run(do(_desk(options, quiet=as_json))), as_json)
