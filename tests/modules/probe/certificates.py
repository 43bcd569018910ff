"""Certificates for tests, good ones and those that are not: made in a folder, keys and all."""

import datetime
import ipaddress
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Key = ec.EllipticCurvePrivateKey


class Authority:
    """Signs; `roots` is the file to trust."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named("Test Authority")
        made = _builder(self._name, self._name, self._key, 365).add_extension(x509.BasicConstraints(True, None), True)
        self.certificate = made.sign(self._key, hashes.SHA256())
        self.roots = folder / "roots.pem"
        self.roots.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def server(self, *names: str, days: float = 90, self_signed: bool = False) -> ssl.SSLContext:
        """What a server needs that claims to be these, until so many days from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _named(names[0])
        issuer, signer = (subject, key) if self_signed else (self._name, self._key)
        found = [_alternative(name) for name in names]
        made = _builder(subject, issuer, key, days).add_extension(x509.SubjectAlternativeName(found), False)
        path = self._folder / f"{abs(hash((names, days, self_signed)))}.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + made.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context


def _named(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _builder(subject: x509.Name, issuer: x509.Name, key: Key, days: float) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=400))
        .not_valid_after(now + datetime.timedelta(days=days))
    )
