"""OpenSSH public keys of the two kinds that may sign here, and the strict reader of OpenSSH's binary strings.

Sources: RFC 4251, 5 (string, uint32), RFC 8709 (ssh-ed25519), OpenSSH PROTOCOL.u2f (sk-ssh-ed25519@openssh.com) and
PROTOCOL.key (the private file), sshd(8) AUTHORIZED_KEYS for a key on one line. What is read may come from anybody: no
length is believed, nothing may follow, and base64 has exactly one spelling.
"""

import binascii
import hashlib
import re
from base64 import b64decode, b64encode
from dataclasses import dataclass

from amon.errors import Invalid

ED25519, SK_ED25519 = "ssh-ed25519", "sk-ssh-ed25519@openssh.com"
KINDS = (ED25519, SK_ED25519)
KEY_BYTES = 32
# The points of small order, the sign bit left out (libsodium, ge25519_has_small_order): for such a "key" anybody finds
# signatures over anything. ssh-keygen takes them.
_WEAK = frozenset(
    bytes.fromhex(point)
    for point in (
        "00" * 32,
        "01" + "00" * 31,
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ec" + "ff" * 30 + "7f",
        "ed" + "ff" * 30 + "7f",
        "ee" + "ff" * 30 + "7f",
    )
)
PRIVATE_BEGIN, PRIVATE_END = "-----BEGIN OPENSSH PRIVATE KEY-----", "-----END OPENSSH PRIVATE KEY-----"
PRIVATE_MAGIC = b"openssh-key-v1\0"
BLANKS = re.compile(r"[ \t]+")  # between the words of a line, as OpenSSH sees them
_MOST_APPLICATION = 256  # bytes; in practice "ssh:" and a few letters
_MOST_LINE = 4096  # characters; the comment is free text


class Malformed(ValueError):
    """Not what the format says; the text is for a log."""


class Reader:
    """Reads what RFC 4251 packs, and raises `Malformed` at the first byte that is not as it says."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0

    def take(self, count: int) -> bytes:
        end = self._place + count
        if end > len(self._data):
            raise Malformed("it ends too early")
        taken = self._data[self._place : end]
        self._place = end
        return taken

    def number(self) -> int:
        return int.from_bytes(self.take(4), "big")

    def string(self) -> bytes:
        return self.take(self.number())

    def end(self) -> None:
        if self._place != len(self._data):
            raise Malformed("something follows its end")


def packed(*parts: bytes) -> bytes:
    """Each part as a `string` of RFC 4251."""
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def strict_base64(text: str) -> bytes:
    """The bytes; `Malformed` for a blank, a wrong letter, missing `=` or bits that stand for nothing."""
    try:
        data = b64decode(text.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise Malformed("it is not base64") from None
    if b64encode(data).decode("ascii") != text:
        raise Malformed("its base64 is not the one spelling of these bytes")
    return data


@dataclass(frozen=True, slots=True)
class PublicKey:
    """One key: `kind` as OpenSSH names it, `blob` the bytes that stand in base64 in its line."""

    kind: str
    blob: bytes

    @property
    def fingerprint(self) -> str:
        """`SHA256:` and 43 letters, as `ssh-keygen -l` shows it."""
        return "SHA256:" + b64encode(hashlib.sha256(self.blob).digest()).decode("ascii").rstrip("=")

    @property
    def line(self) -> str:
        """As it stands in a `.pub` file, without a comment."""
        return f"{self.kind} {b64encode(self.blob).decode('ascii')}"

    @property
    def point(self) -> bytes:
        """The 32 bytes that the mathematics is done with."""
        reader = Reader(self.blob)
        reader.string()
        return reader.string()

    @property
    def application(self) -> bytes:
        """What a hardware key signs for, `ssh:` and perhaps more; empty for a key in a file."""
        reader = Reader(self.blob)
        reader.string()
        reader.string()
        return reader.string() if self.kind == SK_ED25519 else b""

    @classmethod
    def of(cls, blob: bytes) -> "PublicKey":
        """From the bytes alone; `Malformed` if they are no key of the two kinds (a certificate is none)."""
        reader = Reader(blob)
        kind = reader.string()
        if kind not in (ED25519.encode(), SK_ED25519.encode()):
            raise Malformed(f"keys of the kind {kind[:64].decode('ascii', 'replace')!r} are not taken")
        point = reader.string()
        if len(point) != KEY_BYTES:
            raise Malformed("its key is not 32 bytes long")
        if point[:-1] + bytes([point[-1] & 0x7F]) in _WEAK:
            raise Malformed("anybody can sign for its key")
        if kind == SK_ED25519.encode() and not 0 < len(reader.string()) <= _MOST_APPLICATION:
            raise Malformed("its application is too long or empty")
        reader.end()
        return cls(kind.decode("ascii"), blob)

    @classmethod
    def from_line(cls, text: str) -> "PublicKey":
        """From the line of a `.pub` file, `KIND BASE64 [COMMENT]`; raises `Invalid` with what is wrong."""
        line = text.strip(" \t\r\n")
        if "PRIVATE KEY" in line:
            raise Invalid("this is a private key; the line is in the file whose name ends in .pub")
        if len(line) > _MOST_LINE or "\n" in line or "\r" in line:
            raise Invalid("a public key is one line, like `ssh-ed25519 AAAA... comment`")
        words = BLANKS.split(line, maxsplit=2)
        if len(words) < 2:
            raise Invalid("this is no public key; it looks like `ssh-ed25519 AAAA... comment`")
        return cls._from_words(words[0], words[1])

    @classmethod
    def _from_words(cls, kind: str, written: str) -> "PublicKey":
        if kind not in KINDS:
            raise Invalid(
                f"a key of the kind {kind[:64]!r} is not taken; make one with `ssh-keygen -t ed25519` "
                "or, for a hardware key, `ssh-keygen -t ed25519-sk`"
            )
        try:
            key = cls.of(strict_base64(written))
        except Malformed as wrong:
            raise Invalid(f"this public key is damaged: {wrong}") from None
        if key.kind != kind:
            raise Invalid(f"this public key says {kind} and is {key.kind}")
        return key


def public_in(text: str) -> PublicKey:
    """The public half in the text of an OpenSSH private key file; it stands there unencrypted. `Malformed` if not."""
    first, *lines = text.strip().split("\n")
    if first != PRIVATE_BEGIN or not lines or lines[-1] != PRIVATE_END:
        raise Malformed("it is not an OpenSSH private key")
    reader = Reader(strict_base64("".join(lines[:-1])))
    if reader.take(len(PRIVATE_MAGIC)) != PRIVATE_MAGIC:
        raise Malformed("it is not an OpenSSH private key")
    for _ in ("cipher", "key derivation", "its options"):
        reader.string()
    if reader.number() != 1:
        raise Malformed("it holds several keys")
    return PublicKey.of(reader.string())
