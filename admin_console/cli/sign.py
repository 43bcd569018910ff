"""`amon sign`: the answer to a challenge of a site, for a person in a plain Jabber client."""

import sys
import time
from pathlib import Path

import click

from admin_console.program import Options, face_of, run

_LONGEST = 16 * 1024  # characters


@click.command("sign")
@click.option(
    "--key", type=click.Path(path_type=Path, dir_okay=False), help="Sign with this key.  [that of console.toml]"
)
@click.option("--namespace", default=None, hidden=True)
@click.option("--yes", is_flag=True, help="Do not ask, if there is nothing to warn of.")
@click.argument("line", nargs=-1)
@click.pass_obj
def sign_challenge(options: Options, key: Path | None, namespace: str | None, yes: bool, line: tuple[str, ...]) -> None:
    """Show what a site's challenge would let be done, sign it, and print the one line to answer with.

    Without LINE it is read from standard input: start `amon sign`, paste what the site wrote, from `amon1` to its end,
    and press Enter. That is better than a word of the shell, because a quote in the line would mean something there.
    Nothing but a challenge is signed.
    """
    from admin_console.challenges import answer_challenge
    from amon.access.sshsig import COMMAND

    text = _text(line)
    jid, found = _person(options, key)
    click.echo(run(answer_challenge(text, found, jid, face_of(), time.time(), namespace or COMMAND, yes)))


def _text(line: tuple[str, ...]) -> str:
    from amon.errors import Invalid

    if len(line) > 1:
        raise Invalid("a shell has cut the line into words; next: `amon sign` alone, and paste the line when it asks")
    if line:
        return line[0]
    if sys.stdin.isatty():
        click.echo("paste the line that begins with amon1, and press Enter:", err=True)
    return sys.stdin.readline(_LONGEST)


def _person(options: Options, key: Path | None) -> tuple[str | None, Path]:
    """Who signs and with what. With --key the configuration is not needed: its owner may have none."""
    from admin_console.settings import default_path, load
    from admin_console.signing import key_of

    path = options.config or default_path()
    if key is not None and options.config is None and not path.exists():
        return None, key
    settings = load(path)
    return settings.jid, key or key_of(settings.key, path)
