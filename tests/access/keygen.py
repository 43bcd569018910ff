"""The real ssh-keygen and ssh-agent for tests, and a hardware key made of software. Sources: ssh-keygen(1), OpenSSH
PROTOCOL.u2f.

Everything lies below a folder of the test, and nothing reads this machine's own keys or agent.
"""

import hashlib
import os
import subprocess
import textwrap
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from amon.access.sshkey import SK_ED25519, PublicKey, packed

TOUCHED = 0x01


def armored(sig: str) -> str:
    """One line of base64 as ssh-keygen writes a signature."""
    lines = "\n".join(textwrap.wrap(sig, 70))
    return f"-----BEGIN SSH SIGNATURE-----\n{lines}\n-----END SSH SIGNATURE-----\n"


def one_line(armor: str) -> str:
    return "".join(line for line in armor.splitlines() if not line.startswith("-"))


def blob_of(sig: str) -> bytes:
    return b64decode(sig)


def signature(key: bytes, namespace: bytes, raw: bytes, *, reserved: bytes = b"", hashed: bytes = b"sha512") -> str:
    """Any parts as an SSHSIG on one line; raw: the inner signature with its kind."""
    return b64encode(b"SSHSIG" + (1).to_bytes(4, "big") + packed(key, namespace, reserved, hashed, raw)).decode()


def signed_part(message: bytes, namespace: str, hashed: str = "sha512", reserved: bytes = b"") -> bytes:
    digest = hashlib.new(hashed, message).digest()
    return b"SSHSIG" + packed(namespace.encode(), reserved, hashed.encode(), digest)


class SoftKey:
    """A FIDO key with a counter, which asks nobody to touch it."""

    def __init__(self, application: bytes = b"ssh:") -> None:
        self._private = Ed25519PrivateKey.generate()
        self.application, self.counter = application, 0
        point = self._private.public_key().public_bytes_raw()
        self.public = PublicKey(SK_ED25519, packed(SK_ED25519.encode(), point, application))

    def sign(self, message: bytes, namespace: str, flags: int = TOUCHED) -> str:
        self.counter += 1
        said = bytes([flags]) + self.counter.to_bytes(4, "big")
        over = hashlib.sha256(signed_part(message, namespace)).digest()
        raw = self._private.sign(hashlib.sha256(self.application).digest() + said + over)
        return signature(self.public.blob, namespace.encode(), packed(SK_ED25519.encode(), raw) + said)


class Keygen:
    """`ssh-keygen` with its files in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "LC_ALL": "C"}
        self.environment |= {"TZ": os.environ["TZ"]} if "TZ" in os.environ else {}

    def make(self, name: str = "key", kind: str = "ed25519", passphrase: str = "", bits: int = 0) -> Path:
        path = self.folder / name
        size = ("-b", str(bits)) if bits else ()
        self._run("-q", "-t", kind, *size, "-N", passphrase, "-C", name, "-f", str(path), check=True)
        return path

    def sign(self, message: bytes, namespace: str, key: Path, *words: str, **environment: str) -> str:
        """The armored signature."""
        done = self._run("-Y", "sign", *words, "-n", namespace, "-f", str(key), sent=message, environment=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout.decode()

    def accepts(
        self, message: bytes, sig: str, namespace: str, principal: str, allowed: str, now: float | None = None
    ) -> bool:
        """Whether `ssh-keygen -Y verify` does; sig: armored or on one line. now: seconds since 1970."""
        signers, armor = self.folder / "allowed_signers", self.folder / "message.sig"
        signers.write_text(allowed)
        armor.write_text(sig if sig.startswith("-") else armored(sig))
        when = () if now is None else (f"-Overify-time={datetime.fromtimestamp(now, UTC):%Y%m%d%H%M%SZ}",)
        words = ("-Y", "verify", *when, "-f", str(signers), "-I", principal, "-n", namespace, "-s", str(armor))
        return self._run(*words, sent=message).returncode == 0

    def call(self, *words: str) -> str:
        """What it prints."""
        return self._run(*words, check=True).stdout.decode()

    def _run(
        self, *words: str, sent: bytes = b"", environment: Mapping[str, str] | None = None, check: bool = False
    ) -> "subprocess.CompletedProcess[bytes]":
        return subprocess.run(
            ["setsid", "--wait", "ssh-keygen", *words],  # without the terminal of whoever runs the tests
            input=sent,
            env={**self.environment, **(environment or {})},
            capture_output=True,
            check=check,
            timeout=20,
        )


@contextmanager
def agent(folder: Path, *keys: Path) -> Iterator[str]:
    """A running ssh-agent that holds these keys; the path of its socket, to be put into SSH_AUTH_SOCK."""
    socket = folder / "agent"
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "SSH_AUTH_SOCK": str(socket)}
    process = subprocess.Popen(
        ["ssh-agent", "-D", "-a", str(socket)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()  # it says where it listens once it does
        for key in keys:
            subprocess.run(["ssh-add", "-q", str(key)], env=environment, check=True, capture_output=True, timeout=20)
        yield str(socket)
    finally:
        process.terminate()
        process.communicate(timeout=10)


def askpass(folder: Path, passphrase: str) -> dict[str, str]:
    """The environment in which ssh-keygen asks a program that says this. Source: ssh(1), SSH_ASKPASS_REQUIRE."""
    program = folder / "askpass"
    program.write_text(f"#!/bin/sh\necho '{passphrase}'\n")
    program.chmod(0o700)
    return {"SSH_ASKPASS": str(program), "SSH_ASKPASS_REQUIRE": "force"}
