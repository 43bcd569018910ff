"""`amon room` and `amon server`: making the place where a fleet meets."""

import os
from pathlib import Path
from typing import Any

import click

from admin_console.program import Options, Output, console_of, face_of, output_options, run

_PATH = click.Path(path_type=Path, file_okay=False)


def _home() -> Path:
    """XDG Base Directory Specification, $XDG_DATA_HOME."""
    data = os.environ.get("XDG_DATA_HOME") or os.path.join(os.environ.get("HOME", "/"), ".local", "share")  # noqa: PTH118
    return Path(data) / "amon" / "server"


@click.group()
def room() -> None:
    """The room where the fleet meets."""


@room.command("create")
@click.option("--member", "members", multiple=True, metavar="JID", help="A site to let in. May be given often.")
@click.option("--admin", "admins", multiple=True, metavar="JID", help="A person who may ask. May be given often.")
@click.pass_obj
def create(options: Options, members: tuple[str, ...], admins: tuple[str, ...]) -> None:
    """Make the room of the configuration, or bring it to what sites trust; and add members and admins."""
    from admin_console.rooms import create_room

    click.echo(run(create_room(console_of(options), members, admins)))


@room.command("remove")
@click.argument("jids", nargs=-1, required=True, metavar="JID...")
@click.pass_obj
def remove(options: Options, jids: tuple[str, ...]) -> None:
    """Take sites or people out of the room; they leave it at once."""
    from admin_console.rooms import remove_from_room

    click.echo(run(remove_from_room(console_of(options), jids)))


@room.command("show")
@output_options
@click.pass_obj
def show(options: Options, output: Output) -> None:
    """Who belongs to the room, and whether sites trust it."""
    from admin_console.rooms import show_room

    face_of(output).listing(run(show_room(console_of(options))))


@click.group()
def server() -> None:
    """A private XMPP server for trying, and the configuration of one for a fleet."""


@server.command("run")
@click.option("--directory", type=_PATH, default=None, help="Where it keeps everything.  [~/.local/share/amon/server]")
@click.option("--domain", default="amon.test", show_default=True, help="Of people; sites are at agents.DOMAIN.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=5222, show_default=True, help="STARTTLS; 0: a free one.")
@click.option(
    "--tls-port", type=click.IntRange(0, 65535), default=5223, show_default=True, help="Direct TLS; 0 as above."
)
def run_it(directory: Path | None, domain: str, host: str, port: int, tls_port: int) -> None:
    """Run a private Prosody until Ctrl-C, with an admin, a room and a configuration for the console."""
    from admin_console.own_server import checked, run_server
    from admin_console.server import Ports

    run(run_server(checked(domain, host, Ports(port, tls_port), directory or _home()), click.echo))


@server.command("config")
@click.argument("program", type=click.Choice(["prosody", "ejabberd"]))
@click.option("--domain", required=True, metavar="NAME", help="Of people, such as example.org.")
@click.option("--agents", default="", metavar="NAME", help="Of sites.  [agents.DOMAIN]")
@click.option("--rooms", default="", metavar="NAME", help="Of rooms.  [rooms.DOMAIN]")
@click.option("--admin", "admins", multiple=True, required=True, metavar="JID", help="Makes rooms and accounts.")
@click.option("--s2s", multiple=True, metavar="NAME", help="Another server that may talk with the people.  [none]")
@click.option("--sites", type=click.IntRange(1, 100_000), default=100, show_default=True, help="How many will come.")
@click.option(
    "--host-certificates", default="", metavar="CA.pem", help="Sites log in with certificates of it.  [passwords]"
)
@click.option(
    "--direct-tls-port", type=click.IntRange(1, 65535), default=443, show_default=True, help="Beside STARTTLS on 5222."
)
@click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True), default="-", help="A file.  [stdout]"
)
def config(program: str, output: Path, **words: Any) -> None:
    """Write the configuration of a server for a whole fleet, each line with its reason."""
    from admin_console.server.writing import fleet_text, written

    text = fleet_text(program, **words)
    if str(output) == "-":
        click.echo(text, nl=False)
    else:
        click.echo(written(output, text))


@server.command("account")
@click.argument("jid")
@click.option("--directory", type=_PATH, default=None, help="The directory of the server.")
@click.option("--new-password", is_flag=True, help="Give it another password.")
def account(jid: str, directory: Path | None, new_password: bool) -> None:
    """Make an account on the running private server: SITE@agents.DOMAIN for a site, NAME@DOMAIN for a person."""
    from admin_console.own_server import add_account

    run(add_account(directory or _home(), jid, click.echo, new_password=new_password))
