"""An account's password, from the one place that is given for it. Never in a message, a log or a repr.

`password_file` and `credential` are short for `password = { file = "..." }` and `password = { credential = "..." }`.
"""

import unicodedata

from amon.config import Sources
from amon.errors import Problem
from amon.fields import Secret
from site_agent.findings import Finding, Group, findings
from site_agent.settings import Account

_WAYS = ("password", "password_file", "credential")
_NEVER = {"Cc", "Cs", "Cn", "Co"}  # RFC 4013, 2.3: no password that a server takes has these


def password_of(account: Account, path: str, sources: Sources, found: list[Finding]) -> Secret | None:
    """The password, or None and why not in `found`."""
    ways = [way for way in _WAYS if getattr(account, way) is not None]
    if not ways and account.certificate is not None:
        return Secret("")  # the certificate says who we are
    if len(ways) != 1:
        text = f"{' and '.join(ways)} are given" if ways else "no password is given"
        more = "" if ways else ", or a `certificate`"
        found.append(Finding(path, f"{text}; give exactly one of {', '.join(_WAYS)}{more}", Group.secret))
        return None
    path = f"{path}.{ways[0]}"
    if account.password is not None:
        return _usable(account.password, "the password", path, found)
    way, name = ("file", str(account.password_file)) if account.password_file else ("credential", account.credential)
    problems: list[Problem] = []
    password = sources.get(way, name or "", path, problems)
    found += findings(problems, Group.secret)
    return None if password is None else _usable(password, name or "", path, found)


def _usable(password: Secret, what: str, path: str, found: list[Finding]) -> Secret | None:
    if not password.reveal():
        found.append(Finding(path, f"{what} is empty", Group.secret))
    elif "\n" in password.reveal():
        found.append(Finding(path, f"{what} has more than one line", Group.secret))
    elif any(unicodedata.category(character) in _NEVER for character in password.reveal()):
        found.append(Finding(path, f"{what} holds a character that no password can have", Group.secret))
    else:
        return password
    return None
