"""`amon enroll`: tokens for new sites, and who was invited and is not approved yet."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from admin_console.cli.provision import JSON, desk_of
from admin_console.program import TROUBLE, Options, face_of, run
from amon.files import below

if TYPE_CHECKING:
    from admin_console.provision.desk import Desk
    from admin_console.provision.enrolling import Results, Wish
    from admin_console.provision.pending import Waiting


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
@JSON
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
    desk = desk_of(options)
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
            write_private(below(out, f"{name}.token"), end.written() + "\n")


def _print_tokens(desk: "Desk", results: "Results", out: Path | None) -> None:
    for name, end in results:
        if isinstance(end, Exception):
            desk.said(f"FAILED {name}: {end}")
            continue
        if out is None:
            click.echo(end.written())
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
