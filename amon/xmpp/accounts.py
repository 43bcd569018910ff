"""Accounts on a server, asked for by XMPP: our own password, other people's accounts (as an admin), the server's clock.

Sources: XEP-0077, 3.3; XEP-0133 by `adhoc`; XEP-0202. Works on Prosody 0.12 (mod_user_account_management,
mod_admin_adhoc, mod_time) and ejabberd 23.01 (mod_register, mod_configure, mod_time).
"""

from abc import ABC, abstractmethod
from datetime import datetime
from typing import NoReturn
from xml.etree.ElementTree import Element

from amon.errors import Failed, Invalid
from amon.xmpp import adhoc, names
from amon.xmpp.address import bare, prepared_password
from amon.xmpp.faults import StanzaError
from amon.xmpp.forms import Values
from amon.xmpp.markup import child

_REGISTER = f"{{{names.REGISTER}}}"
_MISSING = ("feature-not-implemented", "service-unavailable", "item-not-found")
_ELSEWHERE = ("remote-server-not-found", "remote-server-timeout", "not-allowed")

_NO_COMMANDS = (
    '{domain} takes no administration by XMPP; next: on Prosody add "admin_adhoc" to `modules_enabled` of that host, '
    "on ejabberd `mod_adhoc: {{}}` and `mod_configure: {{}}` to its `modules`"
)
_NO_ADMIN = (
    "{account} is no admin of {domain}, if that is on this server at all; next: on Prosody put it into `admins`, "
    "on ejabberd into an acl that `configure` of its `access_rules` allows"
)
_NO_REGISTER = (
    '{domain} lets no account change its own password; next: on Prosody add "user_account_management" to '
    "`modules_enabled` of that host, on ejabberd `mod_register: {{access: none, access_remove: none}}` to its `modules`"
)
_NO_TIME = (
    '{domain} does not tell its time; next: on Prosody add "time" to `modules_enabled` of that host, '
    "on ejabberd `mod_time: {{}}` to its `modules`"
)


class Accounts(ABC):
    """Needs only to ask."""

    account: str

    @abstractmethod
    async def ask(self, to: str | None, kind: str, content: Element, within: float | None = None) -> Element: ...

    # --- as an admin of the server

    async def add_account(self, jid: str, password: str) -> None:
        """Makes an account; `StanzaError` (a `Failed`), condition `conflict`, if there is one of that name."""
        prepared_password(password)
        words = {"accountjid": (_account(jid),), "password": (password,), "password-verify": (password,)}
        await self._administer(jid, "add-user", words)

    async def set_password(self, jid: str, password: str) -> None:
        """Gives somebody's account another password; condition `item-not-found` if there is none."""
        prepared_password(password)
        await self._administer(jid, "change-user-password", {"accountjid": (_account(jid),), "password": (password,)})

    async def delete_account(self, jid: str) -> None:
        """Removes an account, which ends its sessions; condition `item-not-found` if there is none."""
        await self._administer(jid, "delete-user", {"accountjids": (_account(jid),)})

    async def _administer(self, jid: str, command: str, words: Values) -> None:
        domain = bare(jid).rpartition("@")[2]
        told = {"domain": domain, "account": self.account}
        begun = False

        async def ask(to: str, kind: str, content: Element) -> Element:
            nonlocal begun
            answer = await self.ask(to, kind, content)
            begun = True
            return answer

        try:
            await adhoc.run_form(ask, domain, f"{adhoc.ADMIN}#{command}", words)
        except StanzaError as error:
            if error.condition == "forbidden":
                raise StanzaError("forbidden", _NO_ADMIN.format(**told)) from None
            if not begun and error.condition in _MISSING:
                raise StanzaError("service-unavailable", _NO_COMMANDS.format(**told)) from None
            if not begun and error.condition in _ELSEWHERE:
                text = f"{domain} is no server that this one reaches: is the address {bare(jid)} right?"
                raise StanzaError(error.condition, text) from None
            _refused(error, command, bare(jid))

    # --- as the account itself

    async def set_own_password(self, password: str) -> None:
        """XEP-0077, 3.3. `Connection.change_password` is what goes on living with it."""
        name, _, domain = self.account.rpartition("@")
        query = Element(f"{_REGISTER}query")
        child(query, f"{_REGISTER}username", name)
        child(query, f"{_REGISTER}password", password)
        try:
            await self.ask(domain, "set", query)
        except StanzaError as error:
            if error.condition in _MISSING:
                raise StanzaError(error.condition, _NO_REGISTER.format(domain=domain)) from None
            raise

    async def server_time(self) -> float:
        """What our server's clock shows, epoch seconds, as exact as the way there is short. `Failed` without."""
        domain = self.account.rpartition("@")[2]
        try:
            answer = await self.ask(domain, "get", Element(f"{{{names.TIME}}}time"))
        except StanzaError as error:
            if error.condition in _MISSING:
                raise StanzaError(error.condition, _NO_TIME.format(domain=domain)) from None
            raise
        # XEP-0082: `utc` is a DateTime that ends with Z.
        said = answer.findtext(f"{{{names.TIME}}}time/{{{names.TIME}}}utc") or ""
        try:
            when = datetime.fromisoformat(said)
            if when.tzinfo is None:
                raise ValueError
            return when.timestamp()
        except (ValueError, OverflowError):
            raise Failed(f"{domain} tells a time that is none") from None


def _account(jid: str) -> str:
    address = bare(jid)
    if "@" not in address:
        raise Invalid(f"'{jid[:64]}' is no account; it looks like name@example.org")
    return address


def _refused(error: StanzaError, command: str, jid: str) -> NoReturn:
    """What was said of the account, not of us. ejabberd says `bad-request` to whatever it cannot do."""
    if error.condition == "conflict":
        raise StanzaError("conflict", f"there is an account {jid} already") from None
    if error.condition == "item-not-found" or (error.condition == "bad-request" and command != "add-user"):
        raise StanzaError("item-not-found", f"there is no account {jid}") from None
    if error.condition == "bad-request":
        raise StanzaError("bad-request", f"the server does not take this name or password for {jid}") from None
    raise error from None
