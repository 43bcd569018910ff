"""Login by SCRAM, sans-IO. Sources: RFC 5802, RFC 7677 (SHA-256).

slixmpp's own derives the key in Python (at 10,000 rounds 0.1 s that blocks everybody else in the process), takes any
number of rounds, and draws its nonce from `random`.
"""

import base64
import hashlib
import hmac
import secrets

MECHANISMS = {"SCRAM-SHA-512": "sha512", "SCRAM-SHA-256": "sha256", "SCRAM-SHA-1": "sha1"}  # best first
# Fewer rounds would ease guessing for a false server, more would stop this process.
LEAST_ROUNDS, MOST_ROUNDS = 4_096, 1_000_000

Keys = dict[tuple[str, bytes, int], bytes]


class Mistrust(Exception):
    """The server did not prove that it knows the password, or asked for what is not safe."""


class Scram:
    """One login. `keys` keeps the derived key for the next one (RFC 5802, 3: "clients SHOULD cache")."""

    def __init__(self, mechanism: str, user: str, password: bytes, keys: Keys, nonce: str | None = None) -> None:
        self._hash = MECHANISMS[mechanism]
        self._password, self._keys = password, keys
        self._nonce = nonce or secrets.token_urlsafe(24)
        name = user.replace("=", "=3D").replace(",", "=2C")
        self._first = f"n={name},r={self._nonce}"
        self._proof = b""

    def first(self) -> str:
        # "n": we do no channel binding; Python cannot on TLS 1.3 before 3.14.
        return base64.b64encode(f"n,,{self._first}".encode()).decode()

    def answer(self, challenge: str) -> str:
        """The client's last message."""
        text = _decode(challenge)
        items = _items(text)
        nonce, rounds = items.get("r", ""), items.get("i", "")
        if "m" in items or not nonce.startswith(self._nonce) or len(nonce) == len(self._nonce):
            raise Mistrust("the server's challenge does not continue our own")
        if not (rounds.isascii() and rounds.isdecimal()) or not LEAST_ROUNDS <= int(rounds[:9]) <= MOST_ROUNDS:
            raise Mistrust(f"the server asks for {rounds[:12]} rounds; {LEAST_ROUNDS} to {MOST_ROUNDS} are safe")
        salted = self._key(_salt(items.get("s", "")), int(rounds))
        last = f"c=biws,r={nonce}"
        signed = f"{self._first},{text},{last}".encode()
        client = self._hmac(salted, b"Client Key")
        signature = self._hmac(hashlib.new(self._hash, client).digest(), signed)
        self._proof = self._hmac(self._hmac(salted, b"Server Key"), signed)
        proof = bytes(a ^ b for a, b in zip(client, signature, strict=True))
        return base64.b64encode(f"{last},p={base64.b64encode(proof).decode()}".encode()).decode()

    def verify(self, success: str) -> None:
        """The server must have shown that it knows the password too."""
        given = _items(_decode(success)).get("v", "")
        if not self._proof or not hmac.compare_digest(given.encode(), base64.b64encode(self._proof)):
            raise Mistrust("the server could not prove that it knows this account's password")

    def _key(self, salt: bytes, rounds: int) -> bytes:
        known = self._keys.get((self._hash, salt, rounds))
        if known is None:
            known = hashlib.pbkdf2_hmac(self._hash, self._password, salt, rounds)
            self._keys.clear()
            self._keys[(self._hash, salt, rounds)] = known
        return known

    def _hmac(self, key: bytes, text: bytes) -> bytes:
        return hmac.digest(key, text, self._hash)


def _decode(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode()
    except ValueError:
        raise Mistrust("the server's login message cannot be read") from None


def _salt(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise Mistrust("the server's salt cannot be read") from None


def _items(text: str) -> dict[str, str]:
    return dict(part.split("=", 1) for part in text.split(",") if "=" in part)
