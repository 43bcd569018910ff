"""Who may sign with which key: OpenSSH's allowed_signers, and where this reader is narrower."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amon.access.signers import Signers, read_signers
from amon.access.sshkey import PublicKey
from amon.access.sshsig import BUNDLE, COMMAND, RESULT, BadSignature, SigningKey
from tests.access.keygen import SoftKey

TEXT = b"service restart httpd"
ALICE = "alice@example.org"
NOON = 1_900_000_000.0  # 2030-03-17 17:46:40 UTC


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> list[SigningKey]:
    folder = tmp_path_factory.mktemp("keys")
    return [SigningKey.generate(folder / name, name) for name in ("first", "second")]


def signers(text: str) -> Signers:
    found, problems = read_signers(text, "signers")
    assert problems == []
    return found


def takes(found: Signers, key: SigningKey, who: str = ALICE, space: str = COMMAND, now: float = NOON) -> bool:
    try:
        return found.verify(TEXT, key.sign(TEXT, space), space, who, now) == key.public
    except BadSignature:
        return False


def problem(text: str) -> str:
    found, problems = read_signers(text, "/etc/amon/signers")
    assert found == Signers(), "what is wrong signs nothing"
    (one,) = problems
    assert one.path == "/etc/amon/signers line 1"
    return one.text


def test_a_key_signs_for_the_addresses_of_its_line_and_for_no_other(keys: list[SigningKey]) -> None:
    found = signers(f"# people\n\n{ALICE},bob@example.org {keys[0].public.line} alice's laptop\n")
    assert takes(found, keys[0])
    assert takes(found, keys[0], "bob@example.org")
    for other in ("carol@example.org", "alice@example.net", "", "alice", "@example.org", f"{ALICE}/phone", f"{ALICE}x"):
        assert not takes(found, keys[0], other)


def test_a_key_that_is_not_listed_signs_for_nobody(keys: list[SigningKey]) -> None:
    assert not takes(signers(f"{ALICE} {keys[0].public.line}"), keys[1])
    assert not takes(Signers(), keys[0])


def test_a_listed_key_does_not_make_a_bad_signature_good(keys: list[SigningKey]) -> None:
    found = signers(f"{ALICE} {keys[0].public.line}")
    with pytest.raises(BadSignature, match="did not sign this"):
        found.verify(TEXT + b" now", keys[0].sign(TEXT, COMMAND), COMMAND, ALICE, NOON)


def test_a_star_never_reaches_across_the_at(keys: list[SigningKey]) -> None:
    found = signers(f"*@example.org {keys[0].public.line}")
    assert takes(found, keys[0])
    for who in ("alice@example.net@example.org", "alice@sub.example.org", "alice@example.org@example.org", "alice"):
        assert not takes(found, keys[0], who)
    mixed = signers(f"a*e@example.org,b?b@example.org {keys[0].public.line}")
    assert takes(mixed, keys[0], "alice@example.org")
    assert takes(mixed, keys[0], "bob@example.org")
    assert not takes(mixed, keys[0], "bb@example.org")


def test_an_exclamation_mark_takes_somebody_out_wherever_it_stands(keys: list[SigningKey]) -> None:
    for line in ("*@example.org,!mallory@example.org", "!mallory@example.org,*@example.org"):
        found = signers(f"{line} {keys[0].public.line}")
        assert takes(found, keys[0])
        assert not takes(found, keys[0], "mallory@example.org")


@pytest.mark.parametrize(
    ("written", "good", "bad"),
    [
        ("", (COMMAND, RESULT, BUNDLE), ()),
        (f'namespaces="{COMMAND}"', (COMMAND,), (RESULT, BUNDLE)),
        (f'namespaces="{COMMAND},{RESULT}"', (COMMAND, RESULT), (BUNDLE,)),
        (f'NameSpaces="amon-*,!{BUNDLE}"', (COMMAND, RESULT), (BUNDLE,)),
        ('namespaces="file,git"', (), (COMMAND, RESULT, BUNDLE)),
    ],
)
def test_a_key_signs_only_for_the_namespaces_of_its_line(
    keys: list[SigningKey], written: str, good: tuple[str, ...], bad: tuple[str, ...]
) -> None:
    found = signers(f"{ALICE} {written} {keys[0].public.line}")
    assert [takes(found, keys[0], space=space) for space in good] == [True] * len(good)
    assert [takes(found, keys[0], space=space) for space in bad] == [False] * len(bad)


@pytest.mark.parametrize(
    ("written", "first", "last"),
    [
        ('valid-after="20300317174640Z"', NOON, None),
        ('valid-before="20300317174640Z"', None, NOON),
        ('valid-after="203003171746Z",valid-before="203003171747Z"', NOON - 40, NOON + 20),
        ('valid-after="20300317Z",Valid-Before="20300318Z"', 1_899_936_000, 1_900_022_400),
    ],
)
def test_a_key_signs_only_in_its_time_and_both_ends_belong_to_it(
    keys: list[SigningKey], written: str, first: float | None, last: float | None
) -> None:
    found = signers(f"{ALICE} {written} {keys[0].public.line}")
    for end, step in ((first, -1), (last, 1)):
        if end is not None:
            assert takes(found, keys[0], now=end)
            assert not takes(found, keys[0], now=end + step)


def test_each_line_counts_for_itself(keys: list[SigningKey]) -> None:
    found = signers(
        f'{ALICE} namespaces="file" {keys[0].public.line}\n'
        f'{ALICE} valid-before="20200101Z",namespaces="{COMMAND}" {keys[0].public.line}\n'
        f"bob@example.org {keys[0].public.line}\n"
    )
    assert not takes(found, keys[0])  # no line allows all of it
    assert takes(found, keys[0], "bob@example.org")


def test_hardware_keys_are_listed_like_any_other() -> None:
    soft = SoftKey()
    found = signers(f'{ALICE} namespaces="{COMMAND}" {soft.public.line} yubikey')
    assert found.verify(TEXT, soft.sign(TEXT, COMMAND), COMMAND, ALICE, NOON) == soft.public
    with pytest.raises(BadSignature, match="touched"):
        found.verify(TEXT, soft.sign(TEXT, COMMAND, flags=0), COMMAND, ALICE, NOON)


def test_a_hardware_key_for_another_application_is_another_key() -> None:
    soft = SoftKey(b"ssh:work")
    found = signers(f"{ALICE} {PublicKey.of(soft.public.blob.replace(b'ssh:work', b'ssh:play')).line}")
    with pytest.raises(BadSignature, match="is not a key of"):
        found.verify(TEXT, soft.sign(TEXT, COMMAND), COMMAND, ALICE, NOON)


def test_files_add_up_and_tell_whose_a_key_is(keys: list[SigningKey]) -> None:
    one, other = signers(f"{ALICE} {keys[0].public.line}"), signers(f"b*@example.org {keys[0].public.line}")
    both = one | other | one
    assert both.principals_of(keys[0].public) == (ALICE, "b*@example.org")
    assert both.principals_of(keys[1].public) == ()
    assert takes(both, keys[0])
    assert takes(both, keys[0], "bob@example.org")
    assert len(both.lines) == 2
    assert (one | Signers()) == one


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (f"{ALICE}", "a line is `ADDRESS"),
        ("\x0b", "a line is `ADDRESS"),
        (f"{ALICE}\u2003KEY", "not a bare address"),
        (f'{ALICE} namespaces="file"\u2003KEY', "separated by commas"),
        (f"{ALICE} cert-authority KEY", "certificates are not taken"),
        (f'{ALICE} CERT-AUTHORITY,namespaces="file" KEY', "certificates are not taken"),
        (f"{ALICE} ssh-rsa AAAAB3NzaC1yc2E=", "kind 'ssh-rsa' is not taken"),
        (f"{ALICE} ecdsa-sha2-nistp256 AAAA", "is not taken"),
        (f"{ALICE} ssh-ed25519-cert-v01@openssh.com AAAA", "is not taken"),
        (f"{ALICE} ssh-ed25519 AAAA", "damaged"),
        (f"{ALICE} KEYx", "damaged"),
        (f'{ALICE} namespaces="file"', "separated by commas"),
        (f"{ALICE} namespaces=file KEY", "separated by commas"),
        (f'{ALICE} namespaces="file" namespaces="git" KEY', "is not taken"),
        (f'{ALICE} namespaces="file",namespaces="git" KEY', "given twice"),
        (f"{ALICE} namespaces KEY", "namespaces has no value"),
        (f'{ALICE} namespaces="a,,b" KEY', "empty place"),
        (f'{ALICE} namespaces="" KEY', "empty place"),
        (f'{ALICE} namespaces="!" KEY', "empty place"),
        (f'{ALICE} valid-befor="20300101" KEY', "unknown option 'valid-befor'"),
        (f"{ALICE} no-touch-required KEY", "unknown option 'no-touch-required'"),
        (f'{ALICE} valid-before="2030" KEY', "valid-before is YYYYMMDD"),
        (f'{ALICE} valid-before="20301301" KEY', "valid-before is YYYYMMDD"),
        (f'{ALICE} valid-before="20300230" KEY', "valid-before is YYYYMMDD"),
        (f'{ALICE} valid-before="20300101Y" KEY', "valid-before is YYYYMMDD"),
        (f'{ALICE} valid-before="tomorrow" KEY', "valid-before is YYYYMMDD"),
        (f'{ALICE} valid-before="٢٠٣٠٠١٠١" KEY', "valid-before is YYYYMMDD"),
        (f'{ALICE} valid-after="19700101Z" KEY', "before 1970"),
        (f'{ALICE} valid-after="19600101Z" KEY', "before 1970"),
        (f'{ALICE} valid-after="20300101Z",valid-before="20300101Z" KEY', "never valid"),
        (f'{ALICE} valid-after="20310101Z",valid-before="20300101Z" KEY', "never valid"),
        ("* KEY", "not a bare address"),
        ("alice KEY", "not a bare address"),
        ("@example.org KEY", "not a bare address"),
        ("alice@ KEY", "not a bare address"),
        ("a@b@example.org KEY", "not a bare address"),
        (f"{ALICE}/phone KEY", "not a bare address"),
        (f"{ALICE}, KEY", "not a bare address"),
        (f'"{ALICE}" KEY', "not a bare address"),
        ("alice@* KEY", "other domains"),
        ("*@*.example.org KEY", "other domains"),
        ("alice@example.or? KEY", "other domains"),
        ("Alice@example.org KEY", "write 'alice@example.org'"),
        (f"!{ALICE} KEY", "so nobody may"),
    ],
)
def test_what_is_wrong_with_a_line_is_said(keys: list[SigningKey], line: str, said: str) -> None:
    assert said in problem(line.replace("KEY", keys[0].public.line))


def test_every_wrong_line_is_told_and_the_right_ones_are_kept(keys: list[SigningKey]) -> None:
    text = f"alice\n{ALICE} {keys[0].public.line}\r\n\t# note\n  \nbob@example.org ssh-rsa AAAA\n"
    found, problems = read_signers(text, "f")
    assert [one.path for one in problems] == ["f line 1", "f line 5"]
    assert takes(found, keys[0])


def test_a_long_address_of_a_stranger_costs_no_time(keys: list[SigningKey]) -> None:
    found = signers(f"{'a*' * 60}b@example.org {keys[0].public.line}")
    assert not takes(found, keys[0], "a" * 100_000 + "@example.org")


@given(st.text(max_size=200), st.text(max_size=40))
def test_no_file_and_no_address_breaks_the_reader(text: str, who: str) -> None:
    key = SoftKey()
    found, problems = read_signers(text, "f")
    assert found == Signers() or problems == []
    with pytest.raises(BadSignature):
        (found | signers(f"{ALICE} {key.public.line}")).verify(TEXT, key.sign(TEXT, COMMAND), COMMAND, who, NOON)


def test_the_file_is_the_owners_text_as_it_stands_in_the_manual(keys: list[SigningKey], tmp_path: Path) -> None:
    """The example of ssh-keygen(1), with keys that are taken here."""
    text = (
        "# Comments allowed at start of line\n"
        f"user1@example.com,user2@example.com {keys[0].public.line}\n"
        "# A key that is accepted only for file signing.\n"
        f'user2@example.com namespaces="file" {keys[1].public.line}\n'
    )
    found = signers(text)
    assert takes(found, keys[0], "user1@example.com", "file")
    assert takes(found, keys[1], "user2@example.com", "file")
    assert not takes(found, keys[1], "user2@example.com", COMMAND)
    assert not takes(found, keys[1], "user1@example.com", "file")
