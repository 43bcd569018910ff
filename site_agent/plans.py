"""An account of the configuration, looked at closely: from what is written to how it logs in and whom it obeys."""

import ipaddress
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from amon.access import Policy, policy_problems
from amon.access.sshsig import SigningKey
from amon.config import Sources
from amon.errors import Failed, Invalid
from amon.fields import Secret
from amon.target import Name, parse
from amon.text import did_you_mean
from amon.xmpp.address import bare
from amon.xmpp.login import Login
from amon.xmpp.proxy import check_proxy
from amon.xmpp.tls import tls_context
from site_agent.certificates import own_certificate
from site_agent.files import directory_fault, mode_fault, read_file
from site_agent.findings import Finding, Group, findings
from site_agent.passfiles import Keep
from site_agent.passwords import password_of
from site_agent.policies import Law, organisation_of, signers_of
from site_agent.settings import Account
from site_agent.sitekey import site_key

RESOURCE = "agent"
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,253}[A-Za-z0-9.])?")
_CA_MOST = 4 * 1024 * 1024  # bytes; the whole of a system's trust is 200 KiB


@dataclass(frozen=True, slots=True)
class AccountPlan:
    """One account as it is wanted. revealed: instances whose health it shows; None is all.

    trust: what stands in the CA file, so that a file with new content is a change. signing: the site's own key.
    """

    name: str
    login: Login
    ca_file: Path | None
    law: Law
    revealed: frozenset[str] | None
    prefix: str
    trust: bytes = b""
    keep: Keep | None = None
    signing: SigningKey | None = None

    @property
    def site(self) -> str:
        return self.login.nick


def plan_account(
    name: str, account: Account, instances: Collection[str], sources: Sources, *, whole: bool
) -> tuple[AccountPlan | None, list[Finding]]:
    """The plan, if nothing is in its way, and what was found.

    whole: all that was written could be read; else nothing is said about what may only seem to be missing.
    """
    path, uid = f"account.{name}", sources.uid
    found: list[Finding] = []
    jid = _prepared(account.jid, f"{path}.jid", found)
    site = jid.partition("@")[0] if jid else ""
    _check_site(site, f"{path}.jid", found)
    rooms = _rooms(account.rooms, f"{path}.rooms", found)
    password_found: list[Finding] = []
    password = password_of(account, path, sources, password_found)
    found += [one for one in password_found if whole or one.path != path]
    keep, spare = _kept(account, path, uid, found)
    certificate, certificate_key = own_certificate(account, path, uid, found)
    _check_way(account, path, found)
    trust = _trust(account.ca_file, path, uid, found)
    signing = site_key(account.key, f"{path}.key", uid, found)
    _check_reveal(account.reveal, instances, f"{path}.reveal", found)
    signers = signers_of(account.signers, f"{path}.signers", uid, found)
    organisation = organisation_of(account.organisation, f"{path}.organisation", found)
    found += findings(policy_problems(account.policy, jid.rpartition("@")[2], f"{path}.policy"), Group.policy)
    found += _notes(account, path, sources) if whole else []
    if password is None or any(one.group is not Group.note for one in found):
        return None, found
    login = _login(account, jid, password, site, rooms, spare)
    login = replace(login, certificate=certificate, certificate_key=certificate_key, pins=account.pins)
    revealed = None if account.reveal is None else frozenset(account.reveal)
    law, prefix = Law(account.policy, signers, organisation), account.prefix
    return AccountPlan(name, login, account.ca_file, law, revealed, prefix, trust, keep, signing), found


def _login(
    account: Account, jid: str, password: Secret, site: str, rooms: tuple[str, ...], spare: tuple[str, ...]
) -> Login:
    return Login(
        jid=jid,
        password=password.reveal(),
        resource=RESOURCE,
        host=account.host,
        port=account.port,
        tls=account.tls,
        proxy=account.proxy.reveal() if account.proxy else None,
        rooms=rooms,
        nick=site,
        spare=spare,
    )


def _kept(account: Account, path: str, uid: int, found: list[Finding]) -> tuple[Keep | None, tuple[str, ...]]:
    """How the password is kept, if this agent may change it, and the other ones that may hold."""
    file = account.password_file
    if file is None or not file.is_absolute():
        if account.rotate is not None and file is None:
            text = "only a password in a file can be changed by itself; give `password_file` instead"
            found.append(Finding(f"{path}.rotate", text, Group.secret))
        return None, ()
    keep = Keep(file, account.rotate)
    try:
        spare = keep.files.spare(uid)
    except Failed as error:
        found.append(Finding(f"{path}.password_file", str(error), Group.mode))
        return None, ()
    fault = directory_fault(file.parent, uid) if account.rotate is not None else ""
    if fault:
        found.append(Finding(f"{path}.rotate", f"the new password could not be written: {fault}", Group.mode))
    return keep if account.rotate is not None or spare else None, spare


def same_address(plans: Mapping[str, str]) -> list[Finding]:
    """Two accounts with one address would throw each other out for ever. Takes account name to address."""
    first: dict[str, str] = {}
    found = []
    for name, jid in plans.items():
        other = first.setdefault(_prepared(jid, "", []) or jid.lower(), name)
        if other != name:
            found.append(Finding(f"account.{name}.jid", f"{jid} is the address of account.{other} too; leave one"))
    return found


def _prepared(jid: str, path: str, found: list[Finding]) -> str:
    try:
        return bare(jid)
    except Invalid as error:
        found.append(Finding(path, str(error)))
        return ""


def _check_site(site: str, path: str, found: list[Finding]) -> None:
    """The part before the @ is how people name this site."""
    if not site:
        return
    try:
        plain = parse(site) == Name(site) and not set(site) & set("*?")
    except Invalid:
        plain = False
    if not plain:
        text = f"{site!r} cannot be the name of a site: in a target it means something else; take another address"
        found.append(Finding(path, text))


def _rooms(rooms: tuple[str, ...], path: str, found: list[Finding]) -> tuple[str, ...]:
    prepared: list[str] = []
    for place, room in enumerate(rooms):
        address = _prepared(room, f"{path}[{place}]", found)
        if address in prepared:
            found.append(Finding(f"{path}[{place}]", f"{room} stands here twice"))
        prepared.append(address)
    return tuple(prepared)


def _check_way(account: Account, path: str, found: list[Finding]) -> None:
    if account.host is not None and not _is_host(account.host):
        text = f"{account.host!r} is neither a host name nor an address; the port has a key of its own, `port`"
        found.append(Finding(f"{path}.host", text))
    if account.proxy is None:
        return
    try:
        check_proxy(account.proxy.reveal())
    except Failed as error:
        found.append(Finding(f"{path}.proxy", str(error)))
    if find_spec("python_socks") is None:
        text = "a proxy needs the library python-socks; next: pip install 'amon[proxy]'"
        found.append(Finding(f"{path}.proxy", text))


def _is_host(text: str) -> bool:
    if ":" not in text:
        return _HOST.fullmatch(text) is not None
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True


def _trust(ca_file: Path | None, path: str, uid: int, found: list[Finding]) -> bytes:
    if ca_file is None:
        return b""
    where = f"{path}.ca_file"
    if not ca_file.is_absolute():
        found.append(Finding(where, f"{ca_file} is relative; write the whole path"))
        return b""
    try:
        data, state = read_file(ca_file, _CA_MOST)
        tls_context(ca_file)
    except Failed as error:
        found.append(Finding(where, str(error)))
        return b""
    fault = mode_fault(ca_file, state, uid, private=False)
    if fault:
        found.append(Finding(where, fault, Group.mode))
    return data


def _check_reveal(reveal: tuple[str, ...] | None, instances: Collection[str], path: str, found: list[Finding]) -> None:
    for place, name in enumerate(reveal or ()):
        if name not in instances:
            near = did_you_mean(name, list(instances)) or f"; there are {', '.join(instances) or 'none'}"
            found.append(Finding(f"{path}[{place}]", f"no instance is called {name!r}{near}"))


_NOTES: tuple[tuple[Callable[[Account], bool], str, str], ...] = (
    (lambda a: a.policy == Policy(), "policy", "nobody may ask this agent anything here; it only shows how it is"),
    (
        lambda a: a.tls == "starttls" and a.port in (443, 5223),
        "tls",
        'ports 443 and 5223 usually speak TLS from the start: tls = "direct"',
    ),
    (
        lambda a: a.tls == "direct" and a.port == 5222,
        "tls",
        'port 5222 usually begins without TLS: tls = "starttls"',
    ),
    (
        lambda a: a.port is not None and a.host is None and a.proxy is None,
        "port",
        "without `host` it counts only where DNS has no SRV record of the domain; give `host` too",
    ),
)


def _notes(account: Account, path: str, sources: Sources) -> list[Finding]:
    notes = [Finding(f"{path}.{key}", text, Group.note) for applies, key, text in _NOTES if applies(account)]
    if f"{path}.password" in sources.written:
        better = "a file of its own (`password_file`) or a `credential` is better"
        notes.append(Finding(f"{path}.password", f"{better}: this one goes where the configuration goes", Group.note))
    return notes
