"""Against the real ssh-keygen, both ways: what one makes the other takes, and what one refuses the other does too.

Where this side is stricter on purpose, that is a test of its own and says why.
"""

import os
import subprocess
import sys
from base64 import b64encode
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amon.access.signers import read_signers
from amon.access.sshkey import PublicKey, public_in
from amon.access.sshsig import COMMAND, RESULT, BadSignature, SigningKey, verify
from amon.errors import Failed
from tests.access.keygen import Keygen, SoftKey, agent, armored, askpass, blob_of, one_line

TEXT = b"service restart httpd\n"
ALICE, BOB = "alice@example.org", "bob@example.org"
NOON = 1_900_000_000.0  # 2030-03-17 17:46:40 UTC


@pytest.fixture
def keygen(tmp_path: Path) -> Keygen:
    return Keygen(tmp_path)


def public(path: Path) -> PublicKey:
    return PublicKey.from_line(path.with_name(path.name + ".pub").read_text())


def ours(sig: str, allowed: str, text: bytes = TEXT, space: str = COMMAND, who: str = ALICE, now: float = NOON) -> bool:
    signers, problems = read_signers(allowed, "allowed")
    assert problems == []
    try:
        signers.verify(text, sig, space, who, now)
    except BadSignature:
        return False
    return True


def both(
    keygen: Keygen,
    sig: str,
    allowed: str,
    text: bytes = TEXT,
    space: str = COMMAND,
    who: str = ALICE,
    now: float = NOON,
) -> bool:
    """What both sides say, which must be the same."""
    here, there = ours(sig, allowed, text, space, who, now), keygen.accepts(text, sig, space, who, allowed, now)
    assert here == there, f"ours {here}, ssh-keygen {there}"
    return here


# What ssh-keygen signs


def test_a_key_in_a_file(keygen: Keygen) -> None:
    key = keygen.make()
    sig = keygen.sign(TEXT, COMMAND, key)
    assert verify(TEXT, sig, COMMAND) == verify(TEXT, one_line(sig), COMMAND) == public(key)
    assert both(keygen, sig, f"{ALICE} {public(key).line}")


def test_an_encrypted_key_whose_passphrase_is_asked_for(keygen: Keygen, tmp_path: Path) -> None:
    key = keygen.make(passphrase="correct horse")
    sig = keygen.sign(TEXT, COMMAND, key, **askpass(tmp_path, "correct horse"))
    assert verify(TEXT, sig, COMMAND) == public(key)
    assert public_in(key.read_text()) == public(key)  # which needs no passphrase


def test_a_key_that_only_the_agent_holds(keygen: Keygen, tmp_path: Path) -> None:
    key = keygen.make()
    with agent(tmp_path, key) as socket:
        key.unlink()
        sig = keygen.sign(TEXT, COMMAND, key.with_name("key.pub"), "-U", SSH_AUTH_SOCK=socket)
    assert verify(TEXT, sig, COMMAND) == public(key)


def test_an_empty_text_and_a_long_one(keygen: Keygen) -> None:
    key = keygen.make()
    for text in (b"", bytes(range(256)) * 300):
        assert verify(text, keygen.sign(text, COMMAND, key), COMMAND) == public(key)


@pytest.mark.parametrize("hashed", ["sha256", "sha512"])
def test_both_hashes_that_ssh_keygen_can_be_told_to_use(keygen: Keygen, hashed: str) -> None:
    key = keygen.make()
    sig = keygen.sign(TEXT, COMMAND, key, f"-Ohashalg={hashed}")
    assert hashed.encode() in blob_of(one_line(sig))
    assert both(keygen, sig, f"{ALICE} {public(key).line}")


@pytest.mark.parametrize(("kind", "bits"), [("rsa", 2048), ("ecdsa", 256)])
def test_other_kinds_of_key_are_refused_though_ssh_keygen_takes_them(keygen: Keygen, kind: str, bits: int) -> None:
    key = keygen.make(kind=kind, bits=bits)
    sig = keygen.sign(TEXT, COMMAND, key)
    line = key.with_name("key.pub").read_text()
    assert keygen.accepts(TEXT, sig, COMMAND, ALICE, f"{ALICE} {line}")
    with pytest.raises(BadSignature, match="not taken"):
        verify(TEXT, sig, COMMAND)
    assert "is not taken" in read_signers(f"{ALICE} {line}", "f")[1][0].text


def test_a_certificate_is_refused_though_ssh_keygen_takes_it(keygen: Keygen) -> None:
    authority, key = keygen.make("authority"), keygen.make("key")
    keygen.call("-q", "-s", str(authority), "-I", "id", "-n", ALICE, str(key.with_name("key.pub")))
    sig = keygen.sign(TEXT, COMMAND, key.with_name("key-cert.pub"))
    allowed = f"{ALICE} cert-authority {public(authority).line}"
    assert keygen.accepts(TEXT, sig, COMMAND, ALICE, allowed)
    with pytest.raises(BadSignature, match=r"ssh-ed25519-cert-v01@openssh.com' are not taken"):
        verify(TEXT, sig, COMMAND)
    assert "certificates are not taken" in read_signers(allowed, "f")[1][0].text


# What we sign


def test_what_our_key_signs_is_taken_by_ssh_keygen(keygen: Keygen, tmp_path: Path) -> None:
    key = SigningKey.generate(tmp_path / "site.key", "amon site")
    sig = key.sign(TEXT, RESULT)
    assert both(keygen, sig, f"{ALICE} {key.public.line}", space=RESULT)
    assert keygen.sign(TEXT, RESULT, tmp_path / "site.key") == armored(sig)  # Ed25519 has no chance in it: the same


def test_our_key_file_is_read_by_ssh_keygen_with_its_comment(keygen: Keygen, tmp_path: Path) -> None:
    key = SigningKey.generate(tmp_path / "site.key", "amon site")
    assert keygen.call("-y", "-f", str(tmp_path / "site.key")) == f"{key.public.line} amon site\n"
    assert keygen.call("-l", "-f", str(tmp_path / "site.key")) == f"256 {key.public.fingerprint} amon site (ED25519)\n"


def test_a_key_file_of_ssh_keygen_is_read_by_us(keygen: Keygen) -> None:
    path = keygen.make()
    key = SigningKey.load(path)
    assert key.public == public(path) == public_in(path.read_text())
    assert armored(key.sign(TEXT, COMMAND)) == keygen.sign(TEXT, COMMAND, path)


def test_a_key_file_of_another_kind_or_with_a_passphrase_is_no_key_of_a_program(keygen: Keygen) -> None:
    with pytest.raises(Failed, match="has a passphrase; next:"):
        SigningKey.load(keygen.make("encrypted", passphrase="correct horse"))
    with pytest.raises(Failed, match="is not an Ed25519 key; next:"):
        SigningKey.load(keygen.make("curve", kind="ecdsa"))


# What is not right is refused on both sides


def test_an_altered_text_another_namespace_another_person_are_refused_by_both(keygen: Keygen) -> None:
    key, other = keygen.make(), keygen.make("other")
    sig, allowed = keygen.sign(TEXT, COMMAND, key), f"{ALICE} {public(key).line}\n{BOB} {public(other).line}\n"
    assert both(keygen, sig, allowed)
    assert not both(keygen, sig, allowed, text=TEXT.replace(b"restart", b"stop"))
    assert not both(keygen, sig, allowed, text=TEXT[:-1])
    assert not both(keygen, sig, allowed, space=RESULT)
    assert not both(keygen, sig, allowed, who=BOB)
    assert not both(keygen, sig, allowed, who="alice@example.net")
    assert not both(keygen, keygen.sign(TEXT, COMMAND, other), allowed)
    assert not both(keygen, sig, "")


def test_a_key_out_of_its_time_is_refused_by_both(keygen: Keygen) -> None:
    key = keygen.make()
    sig = keygen.sign(TEXT, COMMAND, key)
    for option, good, bad in (
        ("valid-before", NOON, NOON + 1), ("valid-after", NOON, NOON - 1),
    ):  # fmt: skip
        allowed = f'{ALICE} {option}="20300317174640Z" {public(key).line}'
        assert both(keygen, sig, allowed, now=good)
        assert not both(keygen, sig, allowed, now=bad)


def test_the_time_of_this_machine_is_the_same_for_both(keygen: Keygen) -> None:
    """Where there is summer time: each program in the zone, each asked on both sides of the end of a key."""
    key = keygen.make()
    sig = one_line(keygen.sign(TEXT, COMMAND, key))
    keygen.environment["TZ"] = "Europe/Zurich"
    code = """
import sys
from amon.access.signers import read_signers
signers, _ = read_signers(sys.argv[1], "f")
print(signers.lines[0].before)
"""
    for day in ("20300115", "20300715", "203007151200"):
        allowed = f'{ALICE} valid-before="{day}" {public(key).line}'
        done = subprocess.run(
            [sys.executable, "-c", code, allowed], env={**os.environ, "TZ": "Europe/Zurich"},
            capture_output=True, text=True, check=True, timeout=30,
        )  # fmt: skip
        end = float(done.stdout)
        assert keygen.accepts(TEXT, sig, COMMAND, ALICE, allowed, end)
        assert not keygen.accepts(TEXT, sig, COMMAND, ALICE, allowed, end + 1)


def test_every_flipped_byte_is_refused_by_both(keygen: Keygen) -> None:
    key = keygen.make()
    blob, allowed = blob_of(one_line(keygen.sign(TEXT, COMMAND, key))), f"{ALICE} {public(key).line}"
    for place in range(0, len(blob), 3):  # ssh-keygen is a process for each; every bit of ours is in test_sshsig
        bad = bytearray(blob)
        bad[place] ^= 0x55
        assert not both(keygen, b64encode(bad).decode(), allowed)


# Keys in hardware


def test_a_touched_hardware_key_is_taken_by_both(keygen: Keygen) -> None:
    soft = SoftKey()
    allowed = f'{ALICE} namespaces="{COMMAND}" {soft.public.line} token'
    for flags in (0x01, 0x05):
        assert both(keygen, soft.sign(TEXT, COMMAND, flags=flags), allowed)
    assert not both(keygen, soft.sign(TEXT, COMMAND), allowed, text=b"other")
    assert not both(keygen, soft.sign(TEXT, RESULT), allowed)
    assert not both(keygen, soft.sign(TEXT, COMMAND), allowed, who=BOB)


def test_hardware_with_a_changed_counter_or_flag_is_refused_by_both(keygen: Keygen) -> None:
    soft = SoftKey()
    allowed = f"{ALICE} {soft.public.line}"
    blob = blob_of(soft.sign(TEXT, COMMAND))
    for place in (-1, -5):
        bad = bytearray(blob)
        bad[place] ^= 0x04
        assert not both(keygen, b64encode(bad).decode(), allowed)


def test_a_hardware_key_that_nobody_touched_is_refused_here_though_ssh_keygen_takes_it(keygen: Keygen) -> None:
    # ssh-keygen shows the flag and leaves it to the caller; sshd refuses such a signature by default, and so do we.
    soft = SoftKey()
    sig, allowed = soft.sign(TEXT, COMMAND, flags=0), f"{ALICE} {soft.public.line}"
    assert keygen.accepts(TEXT, sig, COMMAND, ALICE, allowed)
    assert not ours(sig, allowed)


# allowed_signers, line by line

PEOPLE = [
    "alice@example.org",
    "bob@example.org",
    "*@example.org",
    "a?ice@example.org",
    "al*@example.org",
    "x@a.net",
]
SPACES = ["amon-cmd@v1", "amon-*", "*", "file", "amon-cmd@v?", "git"]
TIMES = [
    "20300317",
    "20300317Z",
    "20300318Z",
    "203003171746Z",
    "20300317174640Z",
    "20300317174641Z",
    "20250101",
    "19991231Z",
]


def negated(words: list[str]) -> st.SearchStrategy[str]:
    return st.tuples(st.sampled_from(["", "", "", "!"]), st.sampled_from(words)).map("".join)


def option_texts() -> st.SearchStrategy[str]:
    spaces = st.lists(negated(SPACES), min_size=1, max_size=3).map(lambda some: f'namespaces="{",".join(some)}"')
    after, before = (
        st.sampled_from(TIMES).map(f'{name}="{{}}"'.format) for name in ("valid-after", "VALID-before")
    )  # fmt: skip
    chosen = st.tuples(*(st.none() | one for one in (spaces, after, before)))
    return chosen.flatmap(lambda some: st.permutations([one for one in some if one])).map(",".join)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lines=st.lists(
        st.tuples(
            st.lists(negated(PEOPLE), min_size=1, max_size=3).map(",".join), option_texts(), st.integers(0, 1),
            st.sampled_from(["", " comment", "\tmany words here"]),
        ),
        max_size=3,
    ),
    who=st.sampled_from([ALICE, BOB]),
)  # fmt: skip
def test_lines_are_judged_alike(
    keygen: Keygen, two: list[SigningKey], lines: list[tuple[str, str, int, str]], who: str
) -> None:
    written = [f"{people} {options} {two[key].public.line}{more}" for people, options, key, more in lines]
    # What is told as a problem here does not become part of a configuration; the rest must be the same for both.
    right = [line for line in written if not read_signers(line, "f")[1]]
    allowed = "# people\n\n" + "\n".join(right) + "\n"
    both(keygen, two[0].sign(TEXT, COMMAND), allowed, who=who)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    words=st.lists(
        st.sampled_from(
            [ALICE, "*", "!", ",", " ", "\t", '"', "cert-authority", "namespaces=", '"amon-cmd@v1"', '"file"', "KEY",
             "KEY", "valid-before=", '"20310101Z"', '"20200101"', "@", "*@example.org", "\\", "#", "\n", "x"]
        ),
        max_size=12,
    )
)  # fmt: skip
def test_whoever_may_sign_here_may_sign_for_ssh_keygen_too(
    keygen: Keygen, two: list[SigningKey], words: list[str]
) -> None:
    allowed = "".join(words).replace("KEY", f" {two[0].public.line} ")
    signers, _ = read_signers(allowed, "f")
    sig = two[0].sign(TEXT, COMMAND)
    try:
        signers.verify(TEXT, sig, COMMAND, ALICE, NOON)
    except BadSignature:
        return
    assert keygen.accepts(TEXT, sig, COMMAND, ALICE, allowed, NOON)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[SigningKey]:
    folder = tmp_path_factory.mktemp("two")
    return [SigningKey.generate(folder / name, name) for name in ("first", "second")]
