"""The private server's own certificate authority and the certificate it shows.

Sources: RFC 5280, 4.2 (extensions); RFC 6120, 13.7.1.2 (an XMPP server's certificate carries the DNS names it serves).
A folder used again keeps its authority, so whoever trusts it goes on doing so; the server's own certificate is renewed.
"""

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from admin_console.server.files import write_private

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

_AUTHORITY_LASTS = timedelta(days=3650)
_LEAF_LASTS = timedelta(days=397)
_RENEW_BEFORE = timedelta(days=30)
# A site whose clock is behind must still accept a certificate made a minute ago.
_BACKDATED = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Certificate:
    """Three files: what clients trust, what the server shows (with its issuer), and its key."""

    ca: Path
    chain: Path
    key: Path


@dataclass(frozen=True, slots=True)
class _Authority:
    certificate: "x509.Certificate"
    key: "ec.EllipticCurvePrivateKey"


def certificate(folder: Path, names: tuple[str, ...], host: str, now: datetime | None = None) -> Certificate:
    """The certificate for these names in this folder: the one that is there while it serves, else a new one."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    today = now or datetime.now(UTC)
    files = Certificate(folder / "ca.pem", folder / "server.pem", folder / "server.key")
    if not _serves(files, names, host, today):
        authority = _kept_authority(files.ca, folder / "ca.key", today) or _new_authority(names[0], today)
        write_private(files.ca, _pem(authority.certificate))
        write_private(folder / "ca.key", _pem_key(authority.key))
        _issue(files, authority, names, host, today)
    return files


def _serves(files: Certificate, names: tuple[str, ...], host: str, now: datetime) -> bool:
    from cryptography import x509

    if not (files.ca.exists() and files.chain.exists() and files.key.exists()):
        return False
    leaf = x509.load_pem_x509_certificates(files.chain.read_bytes())[0]
    held = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return held == _alternatives(names, host) and now + _RENEW_BEFORE < leaf.not_valid_after_utc


def _kept_authority(ca: Path, ca_key: Path, now: datetime) -> _Authority | None:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    if not (ca.exists() and ca_key.exists()):
        return None
    held = x509.load_pem_x509_certificate(ca.read_bytes())
    key = load_pem_private_key(ca_key.read_bytes(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or held.not_valid_after_utc < now + 2 * _RENEW_BEFORE:
        return None
    return _Authority(held, key)


def _new_authority(domain: str, now: datetime) -> _Authority:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = _named(f"amon private CA of {domain}")
    made = (
        _begun(name, name, key.public_key(), now, now + _AUTHORITY_LASTS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(authority=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    return _Authority(made, key)


def _issue(files: Certificate, authority: _Authority, names: tuple[str, ...], host: str, now: datetime) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID

    key, issuer = ec.generate_private_key(ec.SECP256R1()), authority.certificate
    until = min(now + _LEAF_LASTS, issuer.not_valid_after_utc)
    from_issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
    made = (
        _begun(_named(names[0]), issuer.subject, key.public_key(), now, until)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(_alternatives(names, host), critical=False)
        .add_extension(from_issuer, critical=False)
        .sign(authority.key, hashes.SHA256())
    )
    write_private(files.key, _pem_key(key))
    write_private(files.chain, _pem(made) + _pem(issuer))


def _begun(
    subject: "x509.Name", issuer: "x509.Name", key: "ec.EllipticCurvePublicKey", now: datetime, until: datetime
) -> "x509.CertificateBuilder":
    from cryptography import x509

    begun = x509.CertificateBuilder(subject_name=subject, issuer_name=issuer).public_key(key)
    begun = begun.serial_number(x509.random_serial_number())
    begun = begun.not_valid_before(now - _BACKDATED).not_valid_after(until)
    return begun.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)


def _named(name: str) -> "x509.Name":
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    # RFC 5280, appendix A: a common name has at most 64 characters; what counts are the alternative names.
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def _alternatives(names: tuple[str, ...], host: str) -> "x509.SubjectAlternativeName":
    from cryptography import x509

    return x509.SubjectAlternativeName(
        [*(x509.DNSName(name) for name in names), x509.IPAddress(ipaddress.ip_address(host))]
    )


def _usage(*, authority: bool) -> "x509.KeyUsage":
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(made: "x509.Certificate") -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return made.public_bytes(Encoding.PEM)


def _pem_key(key: "ec.EllipticCurvePrivateKey") -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
