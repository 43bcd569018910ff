"""What stands in a certificate: the accounts it names, when it ends, and the key behind it as a pin.

Sources: RFC 5280, 4.1; RFC 6120, 13.7.1.4 (xmppAddr); RFC 7469, 2.4 (pins). `cryptography` is imported when one is
read: an agent without pins and without a certificate of its own never does.
"""

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from amon.errors import Failed

if TYPE_CHECKING:
    from cryptography import x509

_XMPP_ADDR = "1.3.6.1.5.5.7.8.5"  # id-on-xmppAddr
_UTF8_STRING = 0x0C


@dataclass(frozen=True, slots=True)
class Ours:
    """A certificate of an account: bare addresses as they are written there, and its times in epoch seconds."""

    accounts: tuple[str, ...]
    begins: float
    ends: float


def read_ours(path: Path) -> Ours:
    """The first certificate of a PEM file; `Failed` if there is none."""
    from cryptography import x509

    try:
        held = x509.load_pem_x509_certificates(path.read_bytes())[0]
    except OSError as error:
        raise Failed(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, IndexError):
        raise Failed(f"{path} holds no certificate in PEM form") from None
    return Ours(_accounts(held), held.not_valid_before_utc.timestamp(), held.not_valid_after_utc.timestamp())


def _accounts(held: "x509.Certificate") -> tuple[str, ...]:
    from cryptography import x509

    try:
        names = held.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ()
    others = names.get_values_for_type(x509.OtherName)
    return tuple(_text(one.value) for one in others if one.type_id.dotted_string == _XMPP_ADDR)


def _text(der: bytes) -> str:
    """A UTF8String (X.690, 8.23) of one byte or two of length, which every address has."""
    if len(der) < 2 or der[0] != _UTF8_STRING:
        return ""
    begin = 2 if der[1] < 0x80 else 2 + (der[1] & 0x7F)
    return der[begin:].decode(errors="replace")


def pin_of(certificate: bytes) -> str:
    """`sha256/BASE64` of the key in a certificate (DER)."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = x509.load_der_x509_certificate(certificate).public_key()
    digest = hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()
    return f"sha256/{base64.b64encode(digest).decode()}"
