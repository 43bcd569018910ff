"""An authority of a test that issues certificates to accounts: RFC 6120, 13.7.1.3 (xmppAddr)."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

_XMPP_ADDR = ObjectIdentifier("1.3.6.1.5.5.7.8.5")
_DAY = timedelta(days=1)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def xmpp_addr(jid: str) -> x509.OtherName:
    text = jid.encode()
    return x509.OtherName(_XMPP_ADDR, bytes([0x0C, len(text)]) + text)  # a UTF8String, shorter than 128 bytes


class ClientCa:
    """`issue` writes a certificate and its key; `file` is what a server trusts."""

    def __init__(self, folder: Path, name: str = "people and sites") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._name, self._key = folder, _named(name), ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(UTC)
        made = self._begun(self._name, self._key.public_key(), now - _DAY, now + 365 * _DAY).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        self.file = folder / "ca.pem"
        self.file.write_bytes(made.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM))

    def _begun(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, begins: datetime, ends: datetime
    ) -> x509.CertificateBuilder:
        begun = x509.CertificateBuilder(subject_name=subject, issuer_name=self._name).public_key(key)
        return begun.serial_number(x509.random_serial_number()).not_valid_before(begins).not_valid_after(ends)

    def issue(
        self,
        name: str,
        *alternatives: x509.GeneralName,
        days: float = 90,
        begins: float = -400,
        key_password: bytes = b"",
        server: bool = False,
        key: ec.EllipticCurvePrivateKey | None = None,
    ) -> tuple[Path, Path]:
        """Certificate and key. `days`: until it ends, below zero that long ago; `begins`: until it begins."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(UTC)
        made = self._begun(_named(name), key.public_key(), now + begins * _DAY, now + days * _DAY)
        if alternatives:
            made = made.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        usage = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
        made = made.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        files = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        files[0].write_bytes(made.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM))
        hidden: KeySerializationEncryption = BestAvailableEncryption(key_password) if key_password else NoEncryption()
        files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, hidden))
        files[1].chmod(0o600)
        return files

    def for_account(self, jid: str, days: float = 90) -> tuple[Path, Path]:
        return self.issue(jid.partition("@")[0], xmpp_addr(jid), days=days)
