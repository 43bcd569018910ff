"""Why there is no session, in plain words with the next step. Knows no slixmpp.

Conditions: RFC 6120, 4.9.3 (stream), 6.5 (SASL), 8.3.3 (stanza). Codes: X509_verify_cert_error_string(3).
"""

import socket
import ssl
from dataclasses import dataclass

from amon.errors import Failed


@dataclass(frozen=True, slots=True)
class Fault:
    """`word` is for programs and tests, `text` for people; `slow`: a person has to mend it, so retry slowly."""

    word: str
    text: str
    slow: bool = False


class Unreachable(Exception):
    """No session came about, or it ended; carries its fault."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.text)
        self.fault = fault


class StanzaError(Failed):
    """The answer to a request of ours was an error; `condition` is RFC 6120's word."""

    def __init__(self, condition: str, text: str) -> None:
        super().__init__(text)
        self.condition = condition


_CERTIFICATE = {
    7: "is signed by a CA that only has the name of one that is trusted here: somebody may stand in between",
    9: "is not valid yet: is this host's clock right?",
    10: "has expired: the server's administrator has to renew it",
    18: "is self-signed: give `ca_file` the certificate to trust",
    19: "is signed by a CA that is not trusted here: give `ca_file` that CA's certificate",
    20: "is signed by a CA that is not trusted here: give `ca_file` that CA's certificate",
    21: "comes without the CA's certificate that signed it: the server has to send the whole chain",
    23: "is revoked",
    26: "is none for servers: it was issued for something else",
    62: "is for another name",
    64: "is for another address",
}

_STREAM = {
    "conflict": ("another session took this name: is the agent running twice, or the account used elsewhere?", True),
    "host-unknown": ("the server does not serve the domain {domain}: is the address `jid` right?", True),
    "not-authorized": ("the server ended the session: the account was removed or its password changed", True),
    "policy-violation": ("the server ended the session: a limit of its own was passed", False),
    "reset": ("the server ended the session: it wants a new login", False),
    "resource-constraint": ("the server is short of resources", False),
    "see-other-host": ("the server sends us to another host; that is not followed: set `host`", True),
    "system-shutdown": ("the server is going down", False),
    "connection-timeout": ("the server did not hear of us for too long", False),
}

_SASL = {
    "not-authorized": "the server refuses the name or password of {jid}: check the password of this account",
    "account-disabled": "the account {jid} is disabled on the server",
    "credentials-expired": "the password of {jid} has expired",
    "temporary-auth-failure": "the server cannot check passwords right now",
}


_OURS = {
    "credentials-expired": "the server says that the certificate of {jid} has expired: renew it",
    "account-disabled": (
        "the server refuses the certificate of {jid}: it names another account, or was issued by an authority "
        "that the server does not trust"
    ),
    "temporary-auth-failure": _SASL["temporary-auth-failure"],
    "": (
        "the server refuses the certificate of {jid} ({condition}): it names another account, has expired, "
        "or was issued by an authority that the server does not trust"
    ),
}


def of_stream(condition: str, domain: str) -> Fault:
    text, slow = _STREAM.get(condition, ("the server ended the session ({condition})", False))
    return Fault(condition, text.format(domain=domain, condition=condition), slow)


def of_login(condition: str, jid: str) -> Fault:
    text = _SASL.get(condition, "the server refuses the login of {jid} ({condition})")
    return Fault(condition, text.format(jid=jid, condition=condition), condition != "temporary-auth-failure")


def of_certificate(condition: str, jid: str) -> Fault:
    """The server did not take ours for the account's."""
    text = _OURS.get(condition, _OURS[""]).format(jid=jid, condition=condition)
    return Fault("certificate-refused", text, condition != "temporary-auth-failure")


def of_connection(error: BaseException, where: str, domain: str) -> Fault:
    """What the operating system or TLS said. `where` is `host port N`, or what stands before it."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _of_certificate(error, where, domain)
    if isinstance(error, ssl.SSLError) and "UNRECOGNIZED_NAME" in (error.reason or ""):
        return of_stream("host-unknown", domain)
    if isinstance(error, ssl.SSLError):
        return _of_handshake(error.reason or "handshake failed", where)
    if isinstance(error, socket.gaierror):
        return Fault("name", f"the name in {where} does not resolve: check `host` and the name servers")
    if isinstance(error, ConnectionRefusedError):
        return Fault("refused", f"nothing accepts connections at {where}: is the server running?")
    if isinstance(error, TimeoutError):
        return Fault("timeout", f"no answer from {where}: a firewall may be in the way")
    if isinstance(error, ConnectionError):
        return Fault("cut", f"{where} cut the connection")
    if isinstance(error, OSError) and error.errno is not None:
        return Fault("network", f"no way to {where}: {error.strerror}")
    return Fault("network", f"no way to {where}: no address answered")


def _of_handshake(reason: str, where: str) -> Fault:
    why = "is the port right for it?"
    if "VERSION" in reason or reason == "UNSUPPORTED_PROTOCOL":
        why = "the server has none that is new enough: TLS 1.2 is the oldest that is used"
    return Fault("tls", f"no TLS with {where}: {reason}; {why}")


def _of_certificate(error: ssl.SSLCertVerificationError, where: str, domain: str) -> Fault:
    why = _CERTIFICATE.get(error.verify_code, f"cannot be trusted ({error.verify_message})")
    name = f" than {domain}: check `jid`, or the certificate" if error.verify_code in (62, 64) else ""
    return Fault("certificate", f"the certificate of {where} {why}{name}; no password was sent", slow=True)


def of_pin(shown: str, where: str) -> Fault:
    text = (
        f"the server {where} has another key than `pins` say: {shown}; no password was sent. Either somebody stands in "
        "between, or its key was changed: ask its administrator before you change `pins`"
    )
    return Fault("pin", text, slow=True)


_STANZA = {
    "bad-request": "the request was not understood",
    "conflict": "the name is taken",
    "feature-not-implemented": "the other side does not know this kind of request",
    "forbidden": "not allowed for this account",
    "gone": "it is gone",
    "internal-server-error": "the server failed",
    "item-not-found": "there is no such address or item",
    "jid-malformed": "the address is not valid",
    "not-acceptable": "the request is not acceptable there",
    "not-allowed": "nobody is allowed to do this",
    "not-authorized": "a password is needed",
    "recipient-unavailable": "the other side is not there",
    "registration-required": "only members may; an administrator has to add this account",
    "remote-server-not-found": "the server of that address cannot be found",
    "remote-server-timeout": "the server of that address does not answer",
    "resource-constraint": "the server is short of resources",
    "service-unavailable": "nobody there answers this kind of request",
    "timeout": "no answer came",
}


def words(condition: str) -> str:
    """What a stanza error means."""
    return _STANZA.get(condition, condition or "an error without a name")
