"""Signatures of the person at the console, made by the real `ssh-keygen -Y sign`. Source: ssh-keygen(1).

So a key in a file, with a passphrase, in ssh-agent or in hardware works as its owner is used to, and this program
never sees a secret: the prompt for a passphrase goes from ssh-keygen to the terminal and back.
"""

import asyncio
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from amon.access.sshkey import SK_ED25519, Malformed, PublicKey, public_in
from amon.access.sshsig import BadSignature, signer_of
from amon.errors import Failed, Invalid
from amon.text import visible

WITHIN = 120.0  # seconds for a passphrase and a touch
_GOODBYE = 2.0  # seconds in which ssh-keygen gives the terminal back
_MOST_FILE = 16 * 1024  # bytes

_NOBODY = "no terminal for the passphrase"

# What ssh-keygen says, by a part of it, and what is meant. In the order of asking.
_MEANT = (
    (_NOBODY, "{key} has a passphrase and here is no terminal to type it at; next: ssh-add the key to an ssh-agent"),
    ("incorrect passphrase", "the passphrase of {key} is wrong; next: try again"),
    ("UNPROTECTED PRIVATE KEY", "others can read {key}, so ssh-keygen does not use it; next: chmod 600 {key}"),
    ("bad permissions", "others can read {key}, so ssh-keygen does not use it; next: chmod 600 {key}"),
    ("Couldn't get agent socket", "{key} is a public key and no ssh-agent runs here; next: start one, ssh-add the key"),
    ("Couldn't find key in agent", "the ssh-agent does not hold the private half of {key}; next: ssh-add that key"),
    ("agent refused operation", "the ssh-agent refused to sign with {key}; next: say yes to it, or touch the key"),
    ("device not found", "the hardware key of {key} is not plugged in; next: plug it in and try again"),
    ("invalid format", "the hardware key did not sign with {key}; next: try again and touch it when it blinks"),
    ("No private key found", "the private half of {key} is not there; next: look at its file"),
)


def key_of(key: Path | None, config: Path) -> Path:
    """The key that a person set; `Failed` with the next step if there is none."""
    if key is None:
        raise Failed(f'no key to sign with is set; next: put key = "~/.ssh/id_ed25519" into {config}')
    return key


async def sign(
    message: bytes,
    namespace: str,
    key: Path,
    *,
    note: Callable[[str], object] = lambda text: print(text, file=sys.stderr),
    program: str = "ssh-keygen",
    within: float = WITHIN,
) -> str:
    """The signature over `message` for `namespace`, base64 on one line; `Failed` with the next step.

    key: a private key file, or the public one whose private half is in the ssh-agent. note: told what a person has to
    do now. within: seconds.
    """
    public, in_agent = public_half(key)
    if public.kind == SK_ED25519:
        note(f"touch the hardware key when it blinks ({public.fingerprint})")
    with tempfile.TemporaryDirectory(prefix="amon-") as folder:  # mode 0700
        path = Path(folder) / "message"
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(message)
        agent = ("-U",) if in_agent else ()
        words = (program, "-q", "-Y", "sign", *agent, "-n", namespace, "-f", str(key.absolute()), str(path))
        said = await _run(words, path.with_name("said"), key, within)
        sig = _one_line(path.with_name("message.sig"), said, key)
    try:
        signer = signer_of(sig, namespace)
    except BadSignature as wrong:
        raise Failed(f"no site would take this signature: {wrong}; next: sign with another key") from None
    if signer != public:
        raise Failed(f"ssh-keygen signed with {signer.fingerprint} and not with {key}; next: look at its .pub file")
    return sig


def public_half(key: Path) -> tuple[PublicKey, bool]:
    """The public key, and whether the private half can only be in the agent. `Failed` for a key no site takes."""
    text = _text(key)
    if text is None:
        text = _text(key.with_name(f"{key.name}.pub"))
    if text is None:
        raise Failed(f"the key {key} is not there; next: ssh-keygen -t ed25519 -f {key}")
    try:
        if "PRIVATE KEY-----" in text:
            return public_in(text), False
        return PublicKey.from_line(text), True
    except Invalid as wrong:
        raise Failed(f"sites do not take the key {key}: {wrong}") from None
    except Malformed as wrong:
        raise Failed(f"sites do not take the key {key}: {wrong}; next: make one with `ssh-keygen -t ed25519`") from None


def _text(path: Path) -> str | None:
    """None if there is no such file."""
    try:
        with path.open("rb") as file:
            return file.read(_MOST_FILE).decode("utf-8", "replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Failed(f"the key {path} cannot be read: {error.strerror}") from None


async def _run(words: tuple[str, ...], said: Path, key: Path, within: float) -> str:
    """What ssh-keygen said, which is nothing much if it signed. said: a file for it, which no child can hold up."""
    terminal, heard = _terminal(), os.open(said, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        process = await asyncio.create_subprocess_exec(
            *words, stdin=terminal, stdout=asyncio.subprocess.DEVNULL, stderr=heard
        )
    except FileNotFoundError:
        raise Failed("ssh-keygen is not installed; next: apt-get install openssh-client") from None
    finally:
        os.close(heard)
        if terminal >= 0:
            os.close(terminal)
    try:
        async with asyncio.timeout(within):
            await process.wait()
    except TimeoutError:
        raise Failed(f"nobody unlocked or touched {key} within {within:g} s; nothing was signed") from None
    finally:
        await _end(process)
    text = said.read_text(encoding="utf-8", errors="replace")
    # Nobody was asked, unless a program of the desktop asked: ssh(1), SSH_ASKPASS.
    return text if terminal >= 0 or os.environ.get("SSH_ASKPASS") else text.replace("incorrect passphrase", _NOBODY)


def _terminal() -> int:
    """What a passphrase is read from. Without a terminal ssh-keygen must not take something else for one."""
    try:
        return os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError:
        return asyncio.subprocess.DEVNULL


async def _end(process: asyncio.subprocess.Process) -> None:
    """Asked first: whoever reads a passphrase has switched the terminal's echo off, and switches it on at a SIGTERM."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(_GOODBYE):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def _one_line(path: Path, said: str, key: Path) -> str:
    """The base64 of the armored signature that lies there; `Failed` if there is none."""
    try:
        text = path.read_text(encoding="ascii", errors="replace")
    except FileNotFoundError:
        raise Failed(_why(said, key)) from None
    return "".join(line for line in text.split("\n") if not line.startswith("-----"))


def _why(said: str, key: Path) -> str:
    for part, meant in _MEANT:
        if part in said:
            return meant.format(key=key)
    last = next((line for line in reversed(said.split("\n")) if line.strip()), "it does not say why")
    return f"ssh-keygen did not sign with {key}: {visible(last.strip(), lines=False)[:200]}"
