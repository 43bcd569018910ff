"""`amon server config`: the words of the command line to the text of a configuration, and that into a file."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from admin_console.server import ejabberd, prosody
from admin_console.server.recipe import Served, checked
from amon.errors import Failed

_TEXTS: dict[str, Callable[[Served], str]] = {
    "prosody": prosody.fleet_configuration,
    "ejabberd": ejabberd.fleet_configuration,
}


def fleet_text(
    program: str,
    *,
    domain: str,
    agents: str = "",
    rooms: str = "",
    admins: Sequence[str] = (),
    s2s: Sequence[str] = (),
    sites: int = 100,
    host_certificates: str = "",
    direct_tls_port: int = 443,
) -> str:
    """The whole configuration for `prosody` or `ejabberd`; `Invalid` says all that is wrong with the words."""
    domain = domain.lower()
    served = Served(
        domain=domain,
        agents=agents.lower() or f"agents.{domain}",
        rooms=rooms.lower() or f"rooms.{domain}",
        admins=tuple(dict.fromkeys(jid.lower() for jid in admins)),
        s2s=tuple(dict.fromkeys(name.lower() for name in s2s)),
        sites=sites,
        host_certificates=host_certificates,
        direct_tls=direct_tls_port,
    )
    return _TEXTS[program](checked(served))


def written(path: Path, text: str) -> str:
    """A new file; one that is there is left alone. A line that says so."""
    try:
        # The server's user must read it, and there is no secret in it.
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644), "w", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise Failed(f"{path} is there already and was left alone; next: put it aside") from None
    except OSError as error:
        raise Failed(f"{path} cannot be written: {error.strerror}") from None
    return f"written: {path}"
