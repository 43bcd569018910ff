"""Signatures: what is read, what is refused, and that nothing but `BadSignature` comes out of a bad one."""

import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from amon.access.sshkey import ED25519, PublicKey, packed, public_in
from amon.access.sshsig import BUNDLE, COMMAND, RESULT, BadSignature, SigningKey, signer_of, verify
from amon.errors import Failed, Invalid
from tests.access.keygen import SoftKey, armored, blob_of, signature, signed_part

TEXT = b"restart httpd"


def raw_key() -> tuple[Ed25519PrivateKey, bytes]:
    key = Ed25519PrivateKey.generate()
    return key, packed(ED25519.encode(), key.public_key().public_bytes_raw())


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> SigningKey:
    return SigningKey.generate(tmp_path_factory.mktemp("key") / "key", "test")


@pytest.fixture(scope="module")
def sig(key: SigningKey) -> str:
    return key.sign(TEXT, COMMAND)


def refused(sig: str, text: bytes = TEXT, namespace: str = COMMAND) -> str:
    with pytest.raises(BadSignature) as bad:
        verify(text, sig, namespace)
    return str(bad.value)


def cheaply_refused(sig: str, namespace: str = COMMAND) -> str:
    """Already by its form, before anything is computed."""
    with pytest.raises(BadSignature) as bad:
        signer_of(sig, namespace)
    return str(bad.value)


def test_a_signature_says_who_made_it(key: SigningKey, sig: str) -> None:
    assert verify(TEXT, sig, COMMAND) == signer_of(sig, COMMAND) == key.public
    assert key.public.kind == "ssh-ed25519"
    assert len(key.public.fingerprint) == len("SHA256:") + 43


def test_the_armored_text_is_taken_as_well_as_its_one_line(key: SigningKey, sig: str) -> None:
    assert verify(TEXT, armored(sig), COMMAND) == key.public
    assert verify(TEXT, armored(sig).removesuffix("\n"), COMMAND) == key.public


def test_another_text_is_refused(sig: str) -> None:
    for text in (b"", TEXT + b" ", TEXT[:-1], b"restart httpe", TEXT.upper()):
        assert "did not sign this" in refused(sig, text)


@pytest.mark.parametrize("made", [COMMAND, RESULT, BUNDLE, "file", "git"])
def test_a_signature_for_one_namespace_is_good_for_no_other(key: SigningKey, made: str) -> None:
    sig = key.sign(TEXT, made)
    for asked in (COMMAND, RESULT, BUNDLE, "file", "", made + "x", made[:-1]):
        if asked != made:
            assert "namespace" in cheaply_refused(sig, asked)


def test_a_namespace_is_part_of_what_is_signed() -> None:
    # The name on the outside is not what protects: it can be rewritten by whoever passes the signature on.
    key, blob = raw_key()
    raw = packed(ED25519.encode(), key.sign(signed_part(TEXT, RESULT)))
    assert "did not sign this" in refused(signature(blob, COMMAND.encode(), raw))


def test_sha256_is_taken_and_no_other_hash() -> None:
    key, blob = raw_key()
    for name, good in (("sha512", True), ("sha256", True), ("sha1", False), ("sha384", False), ("md5", False)):
        raw = packed(ED25519.encode(), key.sign(signed_part(TEXT, COMMAND, name)))
        sig = signature(blob, COMMAND.encode(), raw, hashed=name.encode())
        if good:
            assert verify(TEXT, sig, COMMAND).blob == blob
        else:
            assert "hash" in cheaply_refused(sig)


def test_something_where_nothing_may_be_is_refused() -> None:
    key, blob = raw_key()
    raw = packed(ED25519.encode(), key.sign(signed_part(TEXT, COMMAND, reserved=b"x")))
    assert "nothing may be" in cheaply_refused(signature(blob, COMMAND.encode(), raw, reserved=b"x"))


def test_a_key_for_which_anybody_can_sign_is_no_key() -> None:
    # The neutral point of the curve: R the same, S nothing, and every text is signed.
    neutral = b"\x01" + bytes(31)
    forged = neutral + bytes(32)
    Ed25519PublicKey.from_public_bytes(neutral).verify(forged, b"whatever")
    blob, raw = packed(ED25519.encode(), neutral), packed(ED25519.encode(), forged)
    assert "anybody can sign" in cheaply_refused(signature(blob, COMMAND.encode(), raw))
    with pytest.raises(Invalid, match="anybody can sign"):
        PublicKey.from_line(f"ssh-ed25519 {b64encode(blob).decode()}")


@pytest.mark.parametrize("sign_bit", [0, 0x80])
@pytest.mark.parametrize(
    "point",
    [0, 1, 2**255 - 20, 2**255 - 19, 2**255 - 18]
    + [int.from_bytes(bytes.fromhex(text), "little") for text in (
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    )],
)  # fmt: skip
def test_every_point_of_small_order_is_refused_with_either_sign(point: int, sign_bit: int) -> None:
    encoded = bytearray(point.to_bytes(32, "little"))
    encoded[-1] |= sign_bit
    with pytest.raises(Invalid, match="anybody can sign"):
        PublicKey.from_line(f"ssh-ed25519 {b64encode(packed(ED25519.encode(), bytes(encoded))).decode()}")


def test_the_other_spelling_of_a_signatures_number_is_refused() -> None:
    # S and S + L (the order of the curve) mean the same; RFC 8032, 5.1.7 takes the smaller only.
    key, blob = raw_key()
    good = key.sign(signed_part(TEXT, COMMAND))
    order = 2**252 + 27742317777372353535851937790883648493
    other = good[:32] + (int.from_bytes(good[32:], "little") + order).to_bytes(32, "little")
    assert "did not sign this" in refused(signature(blob, COMMAND.encode(), packed(ED25519.encode(), other)))


def test_every_flipped_bit_is_refused(sig: str) -> None:
    soft = SoftKey()
    for good in (sig, soft.sign(TEXT, COMMAND)):
        blob = blob_of(good)
        for place in range(len(blob)):
            for bit in range(8):
                bad = bytearray(blob)
                bad[place] ^= 1 << bit
                refused(b64encode(bad).decode())


def test_every_truncation_and_every_addition_is_refused(sig: str) -> None:
    soft = SoftKey()
    for good in (sig, soft.sign(TEXT, COMMAND)):
        blob = blob_of(good)
        for length in range(len(blob)):
            cheaply_refused(b64encode(blob[:length]).decode())
        for more in (b"\0", b"\0\0\0\0", blob):
            cheaply_refused(b64encode(blob + more).decode())


def test_bytes_that_follow_inside_a_part_are_refused() -> None:
    key, blob = raw_key()
    raw = packed(ED25519.encode(), key.sign(signed_part(TEXT, COMMAND)))
    assert verify(TEXT, signature(blob, COMMAND.encode(), raw), COMMAND).blob == blob
    assert "follows" in cheaply_refused(signature(blob, COMMAND.encode(), raw + b"\0"))
    assert "follows" in cheaply_refused(signature(blob + b"\0", COMMAND.encode(), raw))


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_a_key_of_another_length_is_refused(length: int) -> None:
    raw = packed(ED25519.encode(), bytes(64))
    assert "32 bytes" in cheaply_refused(signature(packed(ED25519.encode(), bytes(length)), COMMAND.encode(), raw))


@pytest.mark.parametrize("length", [0, 32, 63, 65, 128])
def test_a_signature_of_another_length_is_refused(length: int) -> None:
    _, blob = raw_key()
    raw = packed(ED25519.encode(), bytes(length))
    assert "64 bytes" in cheaply_refused(signature(blob, COMMAND.encode(), raw))


@pytest.mark.parametrize(
    "kind",
    [
        "ssh-rsa", "rsa-sha2-512", "ssh-dss", "ecdsa-sha2-nistp256", "sk-ecdsa-sha2-nistp256@openssh.com",
        "ssh-ed25519-cert-v01@openssh.com", "sk-ssh-ed25519-cert-v01@openssh.com", "ssh-ed448", "", "SSH-ED25519",
    ],
)  # fmt: skip
def test_other_kinds_of_key_are_refused(kind: str) -> None:
    key, blob = raw_key()
    good = key.sign(signed_part(TEXT, COMMAND))
    other = packed(kind.encode(), key.public_key().public_bytes_raw())
    assert "not taken" in cheaply_refused(signature(other, COMMAND.encode(), packed(kind.encode(), good)))
    assert "another kind" in cheaply_refused(signature(blob, COMMAND.encode(), packed(kind.encode(), good)))


def test_a_hardware_signature_is_not_passed_off_as_one_of_a_file() -> None:
    soft = SoftKey()
    key, blob = raw_key()
    raw = packed(ED25519.encode(), key.sign(signed_part(TEXT, COMMAND)))
    assert "another kind" in cheaply_refused(signature(soft.public.blob, COMMAND.encode(), raw))
    assert "not taken" not in cheaply_refused(signature(blob, COMMAND.encode(), b"\0\0\0\x05wrong"))


def test_a_hardware_key_must_have_been_touched() -> None:
    soft = SoftKey()
    assert verify(TEXT, soft.sign(TEXT, COMMAND), COMMAND) == soft.public
    assert verify(TEXT, soft.sign(TEXT, COMMAND, flags=0x05), COMMAND) == soft.public  # touched, and a PIN typed
    for flags in (0x00, 0x04):
        assert "touched" in cheaply_refused(soft.sign(TEXT, COMMAND, flags=flags))


def test_the_flag_and_the_counter_are_part_of_what_hardware_signs() -> None:
    soft = SoftKey()
    blob = bytearray(blob_of(soft.sign(TEXT, COMMAND, flags=0x00)))
    blob[-5] |= 0x01  # whoever passes it on says that it was touched
    assert "did not sign this" in refused(b64encode(blob).decode())


def test_base64_has_one_spelling(sig: str) -> None:
    soft = SoftKey().sign(TEXT, COMMAND)
    assert soft.endswith("=")
    for spelling in (
        sig + "=", sig + "\n", " " + sig, sig[:10] + "\n" + sig[10:], sig[:10] + " " + sig[10:], sig + "====",
        soft.rstrip("="), soft + "=", sig.replace("A", "-", 1), sig[:-1] + "é", "%" + sig, sig + "\0",
    ):  # fmt: skip
        assert "base64" in cheaply_refused(spelling)
    assert sig.endswith("==")
    assert "spelling" in cheaply_refused(sig[:-3] + chr(ord(sig[-3]) + 1) + "==")  # the same bytes


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace("-----END", "----END"),
        lambda text: text.replace("BEGIN SSH SIGNATURE", "BEGIN SSH SIGNATURE-----\n-----BEGIN SSH SIGNATURE"),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text + "more",
        lambda text: text + text,
        lambda text: "x" + text,
        lambda text: text.partition("\n")[0],
        lambda text: text.replace("-----BEGIN SSH SIGNATURE-----\n", "-----BEGIN SSH SIGNATURE-----"),
    ],
)
def test_a_damaged_armor_is_refused(sig: str, damage: Callable[[str], str]) -> None:
    cheaply_refused(damage(armored(sig)))


def test_what_is_long_is_refused_unread() -> None:
    assert "longer than" in cheaply_refused("A" * 2049)
    assert "longer than" in cheaply_refused("A" * 50_000_000)


def test_lengths_are_not_believed() -> None:
    for length in (0xFFFFFFFF, 0x7FFFFFFF, 1_000_000):
        blob = b"SSHSIG" + (1).to_bytes(4, "big") + length.to_bytes(4, "big") + b"x" * 60
        assert "ends too early" in cheaply_refused(b64encode(blob).decode())


@given(st.text(max_size=300) | st.binary(max_size=300).map(lambda data: b64encode(data).decode()), st.text(max_size=20))
def test_no_text_gets_through_and_none_breaks_the_reader(text: str, namespace: str) -> None:
    refused(text, namespace=namespace)


@given(st.data())
def test_no_mixture_of_parts_gets_through_and_none_breaks_the_reader(data: st.DataObject) -> None:
    words = st.sampled_from(
        [b"", b"ssh-ed25519", b"sk-ssh-ed25519@openssh.com", COMMAND.encode(), b"sha512", bytes(32)]
    )
    part = st.lists(words | st.binary(max_size=70), max_size=4).map(lambda parts: packed(*parts))
    parts = data.draw(st.lists(words | part, min_size=3, max_size=6))
    head = data.draw(st.sampled_from([b"SSHSIG\0\0\0\x01", b"SSHSIG\0\0\0\x02", b"SSHSIG"]))
    refused(b64encode(head + packed(*parts)).decode())


def test_a_bad_form_costs_no_cryptography() -> None:
    # 9 MB that an agent which never sees a good signature does not pay.
    code = """
import sys
from amon.access.signers import Signers
from amon.access.sshsig import BadSignature, signer_of
sig = sys.argv[1]
signer_of(sig, "amon-cmd@v1")
try:
    Signers().verify(b"x", sig, "amon-cmd@v1", "a@b", 0)
except BadSignature:
    print("cryptography" in sys.modules)
"""
    sig = SoftKey().sign(TEXT, COMMAND)
    done = subprocess.run([sys.executable, "-c", code, sig], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout == "False\n"


def test_an_agent_without_signatures_does_not_import_cryptography() -> None:
    code = "import sys, site_agent.agent; print('cryptography' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout == "False\n"


# Keys on a line and in a file


def test_a_public_key_is_read_from_its_line_with_and_without_a_comment(key: SigningKey) -> None:
    for line in (key.public.line, key.public.line + " alice at home\n", f"  {key.public.line}\t"):
        assert PublicKey.from_line(line) == key.public
    soft = SoftKey()
    assert PublicKey.from_line(soft.public.line) == soft.public


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "looks like"),
        ("ssh-ed25519", "looks like"),
        ("ssh-rsa AAAA", "kind 'ssh-rsa' is not taken"),
        ("ssh-ed25519-cert-v01@openssh.com AAAA", "is not taken"),
        ("ssh-ed25519 AAA", "damaged"),
        ("ssh-ed25519 AAAA", "damaged"),
        ("sk-ssh-ed25519@openssh.com {own}", "says sk-ssh-ed25519@openssh.com and is ssh-ed25519"),
        ("ssh-ed25519 {own}\nssh-ed25519 {own}", "one line"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "private key"),
        ("ssh-ed25519 {own} " + "x" * 5000, "one line"),
    ],
)
def test_what_is_no_public_key_is_said(key: SigningKey, line: str, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        PublicKey.from_line(line.replace("{own}", key.public.line.split()[1]))


@given(st.text())
def test_no_line_breaks_the_reader_of_keys(line: str) -> None:
    with pytest.raises(Invalid):
        PublicKey.from_line(line)


def test_a_hardware_key_with_a_long_application_is_refused() -> None:
    with pytest.raises(Invalid, match="application"):
        PublicKey.from_line(SoftKey(b"ssh:" + b"x" * 300).public.line)


def test_a_key_that_is_made_is_private_and_is_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "site.key"
    made = SigningKey.generate(path, "amon site")
    assert path.stat().st_mode & 0o777 == 0o600
    assert SigningKey.load(path) == made
    assert public_in(path.read_text()) == made.public
    with pytest.raises(Failed, match="is there already; next:"):
        SigningKey.generate(path, "again")
    assert SigningKey.load(path) == made


def test_a_key_is_not_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Failed, match="is there already"):
        SigningKey.generate(tmp_path / "link", "amon")
    assert not (tmp_path / "elsewhere").exists()


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="cannot be written: No such file"):
        SigningKey.generate(tmp_path / "none" / "key", "amon")


def test_the_secret_half_is_in_no_picture_of_a_key(tmp_path: Path) -> None:
    key = SigningKey.generate(tmp_path / "key", "amon")
    assert key._seed.hex() not in repr(key)
    assert repr(key._seed) not in repr(key)
    assert "_seed" not in repr(key)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_key_that_others_can_use_is_not_used(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    SigningKey.generate(path, "amon")
    path.chmod(mode)
    with pytest.raises(Failed, match="can be used by others; next: chmod 600"):
        SigningKey.load(path)


def test_a_file_that_is_no_key_is_said(tmp_path: Path) -> None:
    path = tmp_path / "key"
    with pytest.raises(Failed, match="cannot be read: No such file"):
        SigningKey.load(path)
    for text in ("", "junk", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n"):
        path.write_text(text)
        path.chmod(0o600)
        with pytest.raises(Failed, match="is not an OpenSSH private key; next:"):
            SigningKey.load(path)
