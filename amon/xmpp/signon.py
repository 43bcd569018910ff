"""The login conversation: by certificate where we have one, else SCRAM, best mechanism first. RFC 6120, 6; XEP-0178.

PLAIN is never sent, TLS or not: a false server would learn the password.
"""

import base64
from collections.abc import Callable
from dataclasses import replace
from xml.etree.ElementTree import Element

from amon.xmpp import faults, markup, names
from amon.xmpp.faults import Fault
from amon.xmpp.scram import MECHANISMS, Keys, Mistrust, Scram

SASL = f"{{{names.SASL}}}"
_EXTERNAL = "EXTERNAL"  # RFC 4422, appendix A: TLS has shown who we are


class NoLogin(Exception):
    """The login failed for good on this stream."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.text)
        self.fault = fault


_NO_SCRAM = Fault("no-scram", "the server offers no SCRAM login, and no weaker one is used", slow=True)
_NO_EXTERNAL = Fault(
    "no-external",
    "the server does not offer the login by certificate (SASL EXTERNAL): it does not ask for one, or does not trust "
    "the authority that issued ours; next: its administrator, or a password",
    slow=True,
)


class SignOn:
    """One stream's login. A server may offer a mechanism for which it has no key of the account: each is tried once."""

    def __init__(
        self,
        jid: str,
        user: str,
        password: str,
        keys: Keys,
        write: Callable[[str], None],
        *,
        certificate: bool = False,
    ) -> None:
        self._jid, self._user, self._password = jid, user, password.encode()
        self._keys, self._write, self._certificate = keys, write, certificate
        self._left: list[str] = []
        self._scram: Scram | None = None
        self._tried = ""
        self.refusal: Fault | None = None

    def start(self, features: Element) -> None:
        """From the server's offer."""
        offered = {e.text for e in features.iterfind(f"{SASL}mechanisms/{SASL}mechanism")}
        ours = [_EXTERNAL] if self._certificate else []
        ours += MECHANISMS if self._password or not self._certificate else []
        self._left = [name for name in ours if name in offered]
        if not self._left:
            raise NoLogin(_NO_EXTERNAL if ours == [_EXTERNAL] else _NO_SCRAM)
        self._try()

    def _try(self) -> None:
        mechanism = self._tried = self._left.pop(0)
        if mechanism == _EXTERNAL:
            # XEP-0178, 2: named, so that a certificate for several accounts means this one and no other.
            name = base64.b64encode(self._jid.encode()).decode()
            self._write(f"<auth xmlns='{names.SASL}' mechanism='{mechanism}'>{name}</auth>")
            return
        self._scram = Scram(mechanism, self._user, self._password, self._keys)
        self._write(f"<auth xmlns='{names.SASL}' mechanism='{mechanism}'>{self._scram.first()}</auth>")

    def step(self, element: Element) -> bool:
        """Takes an element of the conversation; True when we are logged in, `NoLogin` when that is not to be."""
        kind = markup.without_namespace(element.tag)
        if not self._tried:
            return False
        if kind == "failure":
            self._refused(markup.without_namespace(element[0].tag) if len(element) else "")
            return False
        if self._scram is None:
            if kind != "success":
                # Prosody 0.12 says `false` of a certificate that has expired (a slip in its util/sasl/external.lua).
                self._refused("credentials-expired" if kind == "false" else kind)
            return kind == "success"
        try:
            if kind == "challenge":
                self._write(f"<response xmlns='{names.SASL}'>{self._scram.answer(element.text or '')}</response>")
            elif kind == "success":
                self._scram.verify(element.text or "")
                return True
        except Mistrust as mistrust:
            raise NoLogin(Fault("mistrust", f"{mistrust}; the login was broken off", slow=True)) from None
        return False

    def _refused(self, condition: str) -> None:
        self.refusal = self._judged(condition)
        self._keys.clear()
        if not self._left or condition == "account-disabled":
            raise NoLogin(self.refusal)
        self._try()

    def _judged(self, condition: str) -> Fault:
        """The first refusal of a password counts; one of the certificate is told before it."""
        if self._tried == _EXTERNAL:
            return faults.of_certificate(condition, self._jid)
        before = self.refusal
        if before is None:
            return faults.of_login(condition, self._jid)
        if before.word != "certificate-refused":
            return before
        now = faults.of_login(condition, self._jid)
        return replace(now, text=f"{before.text}; {now.text}")
