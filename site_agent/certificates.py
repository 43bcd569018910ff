"""An account's own certificate, by which it may log in instead of with a password, and how long certificates last.

What can be seen without reading it (that it is there, private, and belongs to its key) is looked at in every load;
what stands in it, by `amon-agent check`. Sources: RFC 6120, 13.7.1.4; XEP-0178.
"""

import ssl
import time
from pathlib import Path

from amon.errors import Failed, Invalid
from amon.xmpp.address import bare
from amon.xmpp.certificates import read_ours
from amon.xmpp.tls import show_certificate
from site_agent.files import mode_fault, read_file
from site_agent.findings import Finding, Group
from site_agent.settings import Account

_MOST = 1024 * 1024  # bytes of a certificate with its chain
_DAY = 86_400
_SOON = 30 * _DAY  # seconds before its end in which a certificate is worth a note

Own = tuple[Path, Path | None] | tuple[None, None]


def own_certificate(account: Account, path: str, uid: int, found: list[Finding]) -> Own:
    """The files of the account's certificate and key; (None, None) if it has none or `found` says why not."""
    certificate, key = account.certificate, account.certificate_key
    if certificate is None:
        if key is not None:
            found.append(Finding(f"{path}.certificate_key", "is of no use without `certificate`"))
        return None, None
    files = {"certificate": certificate} if key is None else {"certificate": certificate, "certificate_key": key}
    before = len(found)
    for name, file in files.items():
        # The last of them holds the key, and whoever reads that is this site.
        _check_file(file, f"{path}.{name}", uid, found, private=file == (key or certificate))
    if len(found) == before:
        try:
            show_certificate(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), certificate, key)
        except Failed as error:
            found.append(Finding(f"{path}.certificate", str(error), Group.secret))
    return (certificate, key) if len(found) == before else (None, None)


def _check_file(file: Path, path: str, uid: int, found: list[Finding], *, private: bool) -> None:
    if not file.is_absolute():
        found.append(Finding(path, f"{file} is relative; write the whole path"))
        return
    try:
        _, state = read_file(file, _MOST)
    except Failed as error:
        found.append(Finding(path, str(error), Group.secret))
        return
    fault = mode_fault(file, state, uid, private=private)
    if fault:
        found.append(Finding(path, fault, Group.mode))


def own_findings(path: str, jid: str, certificate: Path, now: float) -> list[Finding]:
    """What stands in the account's certificate, and what will come of it."""
    path = f"{path}.certificate"
    try:
        ours = read_ours(certificate)
    except Failed as error:
        return [Finding(path, str(error), Group.secret)]
    found = []
    if ours.ends <= now:
        found.append(Finding(path, f"{certificate} ended on {_day(ours.ends)}; next: renew it", Group.secret))
    elif ours.begins > now:
        text = f"{certificate} is valid from {_day(ours.begins)} on: is this host's clock right?"
        found.append(Finding(path, text, Group.secret))
    elif ours.ends - now < _SOON:
        text = f"{certificate} ends {_in_days(ours.ends, now)}: renew it; it is taken without a restart"
        found.append(Finding(path, text, Group.note))
    named = [address for address in map(_address, ours.accounts) if address]
    if not named:
        text = f"{certificate} names no account (xmppAddr), so a careful server does not take it for {jid}"
        found.append(Finding(path, text, Group.note))
    elif jid not in named:
        found.append(Finding(path, f"{certificate} is for {' and '.join(named)}, not for {jid}", Group.secret))
    return found


def server_finding(path: str, server: str, ends: float | None, now: float) -> list[Finding]:
    """A note if the server's certificate ends soon: then every site loses its way at once."""
    if ends is None or ends - now >= _SOON:
        return []
    text = f"the certificate of {server} ends {_in_days(ends, now)}: its administrator has to renew it"
    return [Finding(path, text, Group.note)]


def _address(text: str) -> str:
    try:
        return bare(text)
    except Invalid:
        return ""


def _day(when: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(when))


def _in_days(ends: float, now: float) -> str:
    days = int((ends - now) // _DAY)
    return f"on {_day(ends)}, in {days} {'day' if days == 1 else 'days'}" if days else f"on {_day(ends)}, within a day"
