"""An account's password, from the one place that is given for it. Never in a message, a log or a repr.

Sources: systemd.exec(5), `LoadCredential=` and `$CREDENTIALS_DIRECTORY`.
"""

import unicodedata
from pathlib import Path

from amon.errors import Failed
from amon.fields import Secret
from site_agent.files import mode_fault, read_file
from site_agent.findings import Finding, Group
from site_agent.settings import Account

_WAYS = ("password", "password_file", "credential")
_LONGEST = 4096  # bytes
_NEVER = {"Cc", "Cs", "Cn", "Co"}  # RFC 4013, 2.3: no password that a server takes has these


def password_of(account: Account, path: str, uid: int, credentials: Path | None, found: list[Finding]) -> Secret | None:
    """The password, or None and why not in `found`."""
    ways = [way for way in _WAYS if getattr(account, way) is not None]
    if len(ways) != 1:
        text = f"{' and '.join(ways)} are given" if ways else "no password is given"
        found.append(Finding(path, f"{text}; give exactly one of {', '.join(_WAYS)}", Group.secret))
        return None
    if account.password is not None:
        return _usable(account.password.reveal(), f"{path}.password", "the password", found)
    try:
        place, data = _from_file(account, path, uid, credentials, found)
    except Failed as error:
        found.append(Finding(f"{path}.{ways[0]}", str(error), Group.secret))
        return None
    try:
        # Editors and `echo` end a file with a line end that nobody means.
        text = data.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        found.append(Finding(f"{path}.{ways[0]}", f"{place} is not text in UTF-8", Group.secret))
        return None
    return _usable(text, f"{path}.{ways[0]}", str(place), found)


def _from_file(
    account: Account, path: str, uid: int, credentials: Path | None, found: list[Finding]
) -> tuple[Path, bytes]:
    if account.password_file is not None:
        place = account.password_file
        if not place.is_absolute():
            raise Failed(f"{place} is relative; write the whole path")
        data, state = read_file(place, _LONGEST)
        fault = mode_fault(place, state, uid, private=True)
        if fault:
            found.append(Finding(f"{path}.password_file", fault, Group.mode))
        return place, data
    if credentials is None:
        raise Failed(
            f"no credentials were handed to this process; next: LoadCredential={account.credential}:/path/of/file "
            "in the unit of the agent, and start it by systemd"
        )
    # The directory is systemd's and only this unit's; with access lists its files look readable by a group.
    place = credentials / str(account.credential)
    return place, read_file(place, _LONGEST)[0]


def _usable(text: str, path: str, place: str, found: list[Finding]) -> Secret | None:
    if not text:
        found.append(Finding(path, f"{place} is empty", Group.secret))
    elif "\n" in text:
        found.append(Finding(path, f"{place} has more than one line; only the password belongs there", Group.secret))
    elif any(unicodedata.category(character) in _NEVER for character in text):
        found.append(Finding(path, f"{place} holds a character that no password can have", Group.secret))
    else:
        return Secret(text)
    return None
