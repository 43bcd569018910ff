"""Signing at the console: the real ssh-keygen with keys in files and agents, and what it may say instead of signing."""

import asyncio
import os
from pathlib import Path

import pytest

from admin_console.signing import key_of, public_half, sign
from amon.access.sshkey import PublicKey
from amon.access.sshsig import COMMAND, verify
from amon.errors import Failed
from tests.access.keygen import Keygen, SoftKey, armored

TEXT = b'{"by": "alice@example.org"}'


@pytest.fixture
def keygen(tmp_path: Path) -> Keygen:
    return Keygen(tmp_path)


def public(path: Path) -> PublicKey:
    return PublicKey.from_line(path.with_name(path.name + ".pub").read_text())


def instead(folder: Path, *lines: str) -> str:
    """A program in place of ssh-keygen; its `$message` is the file to sign."""
    path = folder / "instead"
    path.write_text("\n".join(("#!/bin/sh", "for message; do :; done", *lines)) + "\n")
    path.chmod(0o700)
    return str(path)


async def test_a_key_in_a_file_signs(keygen: Keygen) -> None:
    key = keygen.make()
    sig = await sign(TEXT, COMMAND, key)
    assert "\n" not in sig
    assert verify(TEXT, sig, COMMAND) == public(key)


async def test_the_public_file_is_not_needed_beside_the_private_one(keygen: Keygen) -> None:
    key = keygen.make()
    known = public(key)
    key.with_name("key.pub").unlink()
    assert verify(TEXT, await sign(TEXT, COMMAND, key), COMMAND) == known


async def test_any_text_is_signed_byte_for_byte(keygen: Keygen) -> None:
    key = keygen.make()
    for text in (b"", b"\0\xff\r\n", "é".encode() * 5000):
        assert verify(text, await sign(text, COMMAND, key), COMMAND) == public(key)


async def test_a_name_that_looks_like_an_option_is_a_name(keygen: Keygen) -> None:
    key = keygen.make()
    odd = key.rename(key.with_name("-Y find principals"))
    assert verify(TEXT, await sign(TEXT, COMMAND, odd), COMMAND) == public(key)


async def test_what_is_signed_lies_in_a_private_file_and_is_gone_afterwards(tmp_path: Path) -> None:
    soft = SoftKey()
    (tmp_path / "token.pub").write_text(soft.public.line)
    (tmp_path / "sig").write_text(armored(soft.sign(TEXT, COMMAND)))
    look = f'stat -c "%a %n" "$message" "$(dirname "$message")" >{tmp_path}/seen; echo "$@" >{tmp_path}/words'
    program = instead(tmp_path, look, f'cat "$message" >{tmp_path}/text', f'cp {tmp_path}/sig "$message.sig"')
    await sign(TEXT, COMMAND, tmp_path / "token.pub", note=lambda text: None, program=program)
    (file_mode, file), (folder_mode, folder) = (line.split() for line in (tmp_path / "seen").read_text().splitlines())
    assert (file_mode, folder_mode) == ("600", "700")
    assert (tmp_path / "text").read_bytes() == TEXT
    assert TEXT.decode() not in (tmp_path / "words").read_text()
    assert not Path(file).exists()
    assert not Path(folder).exists()


async def test_a_hardware_key_is_asked_to_be_touched(tmp_path: Path) -> None:
    soft = SoftKey()
    (tmp_path / "token.pub").write_text(soft.public.line)
    (tmp_path / "sig").write_text(armored(soft.sign(TEXT, COMMAND)))
    notes: list[str] = []
    program = instead(tmp_path, f'cp {tmp_path}/sig "$message.sig"')
    sig = await sign(TEXT, COMMAND, tmp_path / "token.pub", note=notes.append, program=program)
    assert verify(TEXT, sig, COMMAND) == soft.public
    assert notes == [f"touch the hardware key when it blinks ({soft.public.fingerprint})"]


async def test_a_hardware_signature_without_a_touch_is_not_sent_anywhere(tmp_path: Path) -> None:
    soft = SoftKey()
    (tmp_path / "token.pub").write_text(soft.public.line)
    (tmp_path / "sig").write_text(armored(soft.sign(TEXT, COMMAND, flags=0)))
    program = instead(tmp_path, f'cp {tmp_path}/sig "$message.sig"')
    with pytest.raises(Failed, match="no site would take this signature: nobody touched"):
        await sign(TEXT, COMMAND, tmp_path / "token.pub", note=lambda text: None, program=program)


async def test_a_signature_of_another_key_than_the_one_named_is_told(keygen: Keygen, tmp_path: Path) -> None:
    key, other = keygen.make(), keygen.make("other")
    (tmp_path / "sig").write_text(keygen.sign(TEXT, COMMAND, other))
    with pytest.raises(Failed, match=r"signed with SHA256:.* and not with .*key; next:"):
        await sign(TEXT, COMMAND, key, program=instead(tmp_path, f'cp {tmp_path}/sig "$message.sig"'))


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ('Load key "k": incorrect passphrase supplied to decrypt private key', r"passphrase"),
        ("Permissions 0644 for 'k' are too open.\nWARNING: UNPROTECTED PRIVATE KEY FILE!", "next: chmod 600 .*key"),
        ("Couldn't get agent socket", "no ssh-agent runs here; next: start one"),
        ("Couldn't find key in agent", "does not hold the private half of .*; next: ssh-add that key"),
        ("Couldn't sign message (signer): agent refused operation", "the ssh-agent refused to sign with .*; next:"),
        ("Couldn't sign message: device not found", "is not plugged in; next: plug it in"),
        ("Signing m failed: invalid format", "next: try again and touch it"),
        ('No private key found for "k"', "the private half of .* is not there"),
        ("something\nnobody knows \\033[31m\n\n", "ssh-keygen did not sign with .*key: nobody knows \ufffd\\[31m"),
        ("", "ssh-keygen did not sign with .*: it does not say why"),
    ],
)
async def test_what_ssh_keygen_says_instead_of_signing_is_told_with_the_next_step(
    keygen: Keygen, tmp_path: Path, said: str, meant: str
) -> None:
    key = keygen.make()
    (tmp_path / "said").write_text(said.replace("\\033", "\033"))
    with pytest.raises(Failed, match=meant):
        await sign(TEXT, COMMAND, key, program=instead(tmp_path, f"cat {tmp_path}/said >&2; exit 255"))


async def test_a_missing_ssh_keygen_is_told(keygen: Keygen) -> None:
    with pytest.raises(Failed, match="ssh-keygen is not installed; next: apt-get install openssh-client"):
        await sign(TEXT, COMMAND, keygen.make(), program="/nowhere/ssh-keygen")


@pytest.mark.parametrize("trap", ["", "trap '' TERM"])
async def test_nobody_is_waited_for_for_ever(keygen: Keygen, tmp_path: Path, trap: str) -> None:
    key = keygen.make()
    program = instead(
        tmp_path, trap, f"echo $$ >{tmp_path}/pid", "exec sleep 100" if not trap else "sleep 100; sleep 100"
    )
    with pytest.raises(Failed, match=r"nobody unlocked or touched .*key within 0\.3 s; nothing was signed"):
        await sign(TEXT, COMMAND, key, program=program, within=0.3)
    assert_gone(tmp_path)


async def test_who_gives_up_takes_ssh_keygen_along(keygen: Keygen, tmp_path: Path) -> None:
    key = keygen.make()
    os.mkfifo(tmp_path / "begun")
    program = instead(tmp_path, f"echo $$ >{tmp_path}/pid", f"echo >{tmp_path}/begun", "exec sleep 100")
    signing = asyncio.create_task(sign(TEXT, COMMAND, key, program=program))
    await asyncio.to_thread((tmp_path / "begun").read_text)
    signing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await signing
    assert_gone(tmp_path)


def assert_gone(folder: Path) -> None:
    with pytest.raises(ProcessLookupError):
        os.kill(int((folder / "pid").read_text()), 0)


# Which key


@pytest.mark.parametrize(("kind", "bits"), [("rsa", 2048), ("ecdsa", 256)])
@pytest.mark.parametrize("passphrase", ["", "correct horse"])
async def test_a_key_that_no_site_takes_is_told_before_anything_is_asked(
    keygen: Keygen, kind: str, bits: int, passphrase: str
) -> None:
    key = keygen.make(kind=kind, bits=bits, passphrase=passphrase)
    for path in (key, key.with_name("key.pub")):
        with pytest.raises(Failed, match=r"do not take the key .*not taken.*make one with `ssh-keygen -t ed25519`"):
            await sign(TEXT, COMMAND, path, program="/nowhere")


def test_a_file_that_is_no_key_or_is_not_there_is_told(keygen: Keygen, tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("secret\n")
    (tmp_path / "old").write_text("-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n")
    with pytest.raises(Failed, match=r"sites do not take the key .*notes: this is no public key"):
        public_half(tmp_path / "notes")
    with pytest.raises(Failed, match=r"sites do not take the key .*old: it is not an OpenSSH private key"):
        public_half(tmp_path / "old")
    with pytest.raises(Failed, match=r"none is not there; next: ssh-keygen -t ed25519 -f .*none"):
        public_half(tmp_path / "none")
    with pytest.raises(Failed, match="cannot be read: Is a directory"):
        public_half(tmp_path)


def test_where_the_private_half_lies_is_seen_from_the_file(keygen: Keygen) -> None:
    key = keygen.make(passphrase="correct horse")
    assert public_half(key) == (public(key), False)
    assert public_half(key.with_name("key.pub")) == (public(key), True)
    expected = public(key)
    key.unlink()
    assert public_half(key) == (expected, True)  # named as ssh names it, and held by an agent


def test_no_key_is_told_with_the_line_to_write(tmp_path: Path) -> None:
    assert key_of(tmp_path / "key", tmp_path / "console.toml") == tmp_path / "key"
    with pytest.raises(Failed, match=r'next: put key = "~/.ssh/id_ed25519" into .*console.toml'):
        key_of(None, tmp_path / "console.toml")
