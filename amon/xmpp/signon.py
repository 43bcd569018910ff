"""The login conversation: SCRAM only, best mechanism first. RFC 6120, 6.

PLAIN is never sent, TLS or not: a false server would learn the password.
"""

from collections.abc import Callable
from xml.etree.ElementTree import Element

from amon.xmpp import faults, markup, names
from amon.xmpp.faults import Fault
from amon.xmpp.scram import MECHANISMS, Keys, Mistrust, Scram

SASL = f"{{{names.SASL}}}"


class NoLogin(Exception):
    """The login failed for good on this stream."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.text)
        self.fault = fault


class SignOn:
    """One stream's login. A server may offer a mechanism for which it has no key of the account: each is tried once."""

    def __init__(self, jid: str, user: str, password: str, keys: Keys, write: Callable[[str], None]) -> None:
        self._jid, self._user, self._password = jid, user, password.encode()
        self._keys, self._write = keys, write
        self._left: list[str] = []
        self._scram: Scram | None = None
        self.refusal: Fault | None = None

    def start(self, features: Element) -> None:
        """From the server's offer."""
        offered = {e.text for e in features.iterfind(f"{SASL}mechanisms/{SASL}mechanism")}
        self._left = [name for name in MECHANISMS if name in offered]
        if not self._left:
            raise NoLogin(Fault("no-scram", "the server offers no SCRAM login, and no weaker one is used", slow=True))
        self._try()

    def _try(self) -> None:
        mechanism = self._left.pop(0)
        self._scram = Scram(mechanism, self._user, self._password, self._keys)
        self._write(f"<auth xmlns='{names.SASL}' mechanism='{mechanism}'>{self._scram.first()}</auth>")

    def step(self, element: Element) -> bool:
        """Takes an element of the conversation; True when we are logged in, `NoLogin` when that is not to be."""
        kind = markup.without_namespace(element.tag)
        if self._scram is None:
            return False
        try:
            if kind == "challenge":
                self._write(f"<response xmlns='{names.SASL}'>{self._scram.answer(element.text or '')}</response>")
            elif kind == "success":
                self._scram.verify(element.text or "")
                return True
        except Mistrust as mistrust:
            raise NoLogin(Fault("mistrust", f"{mistrust}; the login was broken off", slow=True)) from None
        if kind == "failure":
            self._refused(markup.without_namespace(element[0].tag) if len(element) else "")
        return False

    def _refused(self, condition: str) -> None:
        self.refusal = self.refusal or faults.of_login(condition, self._jid)
        self._keys.clear()
        if not self._left or condition == "account-disabled":
            raise NoLogin(self.refusal)
        self._try()
