"""Signatures as OpenSSH makes them with `ssh-keygen -Y sign`: read strictly, verified, and made with a key in a file.

Sources: OpenSSH PROTOCOL.sshsig, PROTOCOL.u2f (what a hardware key signs), PROTOCOL.key (the private file), RFC 8709.
Everything is refused that is not exactly what OpenSSH writes today, the cheap reasons first. `cryptography` is
imported inside functions only: it costs 9 MB that an agent without signatures does not pay.
"""

import hashlib
import os
import secrets
import stat
import textwrap
from base64 import b64encode
from dataclasses import dataclass, field
from pathlib import Path

from amon.access.sshkey import (
    ED25519,
    PRIVATE_BEGIN,
    PRIVATE_END,
    PRIVATE_MAGIC,
    SK_ED25519,
    Malformed,
    PublicKey,
    Reader,
    packed,
    strict_base64,
)
from amon.errors import Failed

__all__ = ["BUNDLE", "COMMAND", "RESULT", "BadSignature", "PublicKey", "SigningKey", "signer_of", "verify"]

COMMAND, RESULT, BUNDLE = "amon-cmd@v1", "amon-result@v1", "amon-policy@v1"
"""The namespaces: a signature for one is never good for another."""

_MAGIC, _VERSION = b"SSHSIG", 1
_HASHES = (b"sha512", b"sha256")
_SIGNATURE_BYTES = 64
_TOUCHED = 0x01  # flag of PROTOCOL.u2f: somebody was there and touched the key
_MOST = 2048  # characters; a signature of ours has fewer than 500
_BEGIN, _END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
_MOST_FILE = 16 * 1024  # bytes
_BLOCK = 8  # bytes; PROTOCOL.key pads to it where nothing is encrypted


class BadSignature(Exception):
    """The text is for the log only: whoever sent it is told no more than that it is not good."""


@dataclass(frozen=True, slots=True)
class _Signature:
    key: PublicKey
    hash: str
    signature: bytes
    flags: int
    counter: int


def signer_of(sig: str, namespace: str) -> PublicKey:
    """Whose signature it says it is. Only the form is looked at, nothing is proved. Raises `BadSignature`.

    sig: base64 on one line, or the armored text of `ssh-keygen -Y sign`.
    """
    return _read(sig, namespace).key


def verify(message: bytes, sig: str, namespace: str) -> PublicKey:
    """The key that made `sig` over `message` for `namespace`; whether that key may is not asked here.

    Raises `BadSignature`; also for a hardware key that nobody touched.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    found = _read(sig, namespace)
    signed = _signed(message, namespace, found.hash)
    if found.key.kind == SK_ED25519:
        signed = _as_hardware_signs(found, signed)
    try:
        Ed25519PublicKey.from_public_bytes(found.key.point).verify(found.signature, signed)
    except (InvalidSignature, ValueError):
        raise BadSignature(f"{found.key.fingerprint} did not sign this") from None
    return found.key


def _read(sig: str, namespace: str) -> _Signature:
    if not namespace or len(sig) > _MOST:
        raise BadSignature("it has no namespace" if not namespace else f"it is longer than {_MOST} characters")
    try:
        return _parsed(strict_base64(_bare(sig)), namespace.encode())
    except Malformed as wrong:
        raise BadSignature(str(wrong)) from None


def _bare(sig: str) -> str:
    """The base64 without its armor, if it has one."""
    if not sig.startswith(_BEGIN):
        return sig
    first, *lines = sig.removesuffix("\n").split("\n")
    if first != _BEGIN or not lines or lines.pop() != _END:
        raise Malformed("its armor is damaged")
    return "".join(lines)


def _parsed(data: bytes, namespace: bytes) -> _Signature:
    reader = Reader(data)
    if reader.take(len(_MAGIC)) != _MAGIC or reader.number() != _VERSION:
        raise Malformed("it is no SSH signature of version 1")
    blob = reader.string()
    if reader.string() != namespace:
        raise Malformed("it was made for another namespace")
    if reader.string() != b"":
        raise Malformed("it has something where nothing may be")
    hash_name = reader.string()
    if hash_name not in _HASHES:
        raise Malformed("its hash is not taken")
    signature = reader.string()
    reader.end()
    key = PublicKey.of(blob)
    raw, flags, counter = _parsed_signature(signature, key.kind)
    return _Signature(key, hash_name.decode("ascii"), raw, flags, counter)


def _parsed_signature(data: bytes, kind: str) -> tuple[bytes, int, int]:
    """The 64 bytes, and what a hardware key adds to them: flags and its counter."""
    reader = Reader(data)
    if reader.string() != kind.encode("ascii"):
        raise Malformed("its signature is of another kind than its key")
    raw = reader.string()
    if len(raw) != _SIGNATURE_BYTES:
        raise Malformed("its signature is not 64 bytes long")
    flags, counter = 0, 0
    if kind == SK_ED25519:
        flags, counter = reader.take(1)[0], reader.number()
        if not flags & _TOUCHED:
            raise Malformed("nobody touched the hardware key")
    reader.end()
    return raw, flags, counter


def _signed(message: bytes, namespace: str, hash_name: str) -> bytes:
    """What is signed instead of the message: it names what it is for, so that it is good for nothing else."""
    digest = hashlib.new(hash_name, message).digest()
    return _MAGIC + packed(namespace.encode(), b"", hash_name.encode("ascii"), digest)


def _as_hardware_signs(found: _Signature, message: bytes) -> bytes:
    application = hashlib.sha256(found.key.application).digest()
    said = bytes([found.flags]) + found.counter.to_bytes(4, "big")
    return application + said + hashlib.sha256(message).digest()


@dataclass(frozen=True, slots=True)
class SigningKey:
    """An Ed25519 key of a program: its file has no passphrase, because nobody is there to type it."""

    public: PublicKey
    _seed: bytes = field(repr=False)

    def sign(self, message: bytes, namespace: str) -> str:
        """The signature over `message` for `namespace`, base64 on one line."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        raw = Ed25519PrivateKey.from_private_bytes(self._seed).sign(_signed(message, namespace, "sha512"))
        signature = packed(ED25519.encode(), raw)
        rest = packed(self.public.blob, namespace.encode(), b"", b"sha512", signature)
        return b64encode(_MAGIC + _VERSION.to_bytes(4, "big") + rest).decode("ascii")

    @classmethod
    def load(cls, path: Path) -> "SigningKey":
        """From an OpenSSH private key file that only its owner can read; `Failed` with the next step."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_ssh_private_key

        data = _private_file(path)
        try:
            key = load_ssh_private_key(data, None)
        except TypeError:
            raise Failed(f"the key {path} has a passphrase; next: make one without, for this program only") from None
        except Exception:
            # UnsupportedAlgorithm and ValueError today; whatever else a damaged file makes of it is no bug of ours.
            raise Failed(f"{path} is not an OpenSSH private key; next: make a new one") from None
        if not isinstance(key, Ed25519PrivateKey):
            raise Failed(f"the key {path} is not an Ed25519 key; next: make a new one of that kind")
        return cls._of(key.private_bytes_raw())

    @classmethod
    def generate(cls, path: Path, comment: str) -> "SigningKey":
        """A new key in a new file, mode 0600; `Failed` if the file is there already or cannot be written."""
        key = cls._of(secrets.token_bytes(32))
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with os.fdopen(handle, "w", encoding="ascii") as file:
                os.fchmod(handle, 0o600)
                file.write(_private_text(key.public, key._seed, comment))
                file.flush()
                os.fsync(handle)
        except FileExistsError:
            raise Failed(f"{path} is there already; next: move it away, or use it as it is") from None
        except OSError as error:
            raise Failed(f"{path} cannot be written: {error.strerror}") from None
        return key

    @classmethod
    def _of(cls, seed: bytes) -> "SigningKey":
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        point = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
        return cls(PublicKey(ED25519, packed(ED25519.encode(), point)), seed)


def _private_file(path: Path) -> bytes:
    """Mode and text of one and the same open file, so that nobody can change it in between."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(_MOST_FILE + 1)
    except OSError as error:
        raise Failed(f"the key {path} cannot be read: {error.strerror}") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise Failed(f"the key {path} can be used by others; next: chmod 600 {path}")
    return data


def _private_text(public: PublicKey, seed: bytes, comment: str) -> str:
    """The file of PROTOCOL.key, not encrypted; `cryptography` would write it without the comment."""
    check = secrets.token_bytes(4)
    inner = check + check + packed(ED25519.encode(), public.point, seed + public.point, comment.encode())
    inner += bytes(range(1, -len(inner) % _BLOCK + 1))
    whole = PRIVATE_MAGIC + packed(b"none", b"none", b"") + (1).to_bytes(4, "big") + packed(public.blob, inner)
    lines = textwrap.wrap(b64encode(whole).decode("ascii"), 70)
    return "\n".join([PRIVATE_BEGIN, *lines, PRIVATE_END, ""])
