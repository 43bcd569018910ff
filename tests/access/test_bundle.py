"""The fleet's policy: exact bytes signed by the organisation, a serial that never goes back, an end."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amon.access.bundle import MOST_TEXT, BadBundle, Bundle, open_bundle, read_bundle
from amon.access.sshkey import PublicKey
from amon.access.sshsig import BUNDLE, COMMAND, SigningKey
from amon.words import Role

FLEET = "ops@rooms.example.org"
NOW = 1_795_000_000.0  # 2026-11-18 11:06:40 UTC
TEXT = f"""
fleet = "{FLEET}"
serial = 7
issued = "2026-11-18T11:00:00Z"
expires = "2027-02-18T11:00:00Z"
signers = ["alice@example.org ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"]
[policy]
admin = ["@staff"]
groups = {{ staff = ["alice@example.org"] }}
[[policy.allow]]
who = ["bob@example.org"]
commands = ["service restart"]
"""


@dataclass
class Organisation:
    key: SigningKey
    stranger: SigningKey

    @property
    def keys(self) -> list[PublicKey]:
        return [self.key.public]

    def bundle(self, text: str = TEXT, last: Bundle | None = None, now: float = NOW) -> Bundle:
        raw = text.encode()
        return open_bundle(raw, self.key.sign(raw, BUNDLE), self.keys, (FLEET,), now, last)

    def refusal(self, text: str = TEXT, last: Bundle | None = None, now: float = NOW) -> str:
        with pytest.raises(BadBundle) as bad:
            self.bundle(text, last, now)
        return str(bad.value)


@pytest.fixture(scope="module")
def organisation(tmp_path_factory: pytest.TempPathFactory) -> Organisation:
    folder: Path = tmp_path_factory.mktemp("keys")
    return Organisation(SigningKey.generate(folder / "org", "org"), SigningKey.generate(folder / "other", "other"))


def test_a_signed_bundle_is_what_stands_in_it(organisation: Organisation) -> None:
    bundle = organisation.bundle()
    assert (bundle.fleet, bundle.serial, bundle.key) == (FLEET, 7, organisation.key.public.fingerprint)
    assert bundle.expires - bundle.issued == 92 * 86400
    assert bundle.policy.role_of("alice@example.org") == (Role.admin, "@staff")
    assert [line.principals for line in bundle.signers.lines] == [("alice@example.org",)]
    assert bundle.text == TEXT.encode()
    assert bundle.out_of_date(NOW) == ""


def test_only_a_key_of_the_organisation_signs_and_only_for_this(organisation: Organisation) -> None:
    raw = TEXT.encode()
    tries: list[tuple[bytes, str, str]] = [
        (raw, organisation.stranger.sign(raw, BUNDLE), "which is no key of `organisation` here"),
        (raw, organisation.key.sign(raw, COMMAND), "its signature is not good"),
        (raw + b"\n", organisation.key.sign(raw, BUNDLE), "its signature is not good"),
        (raw.replace(b"serial = 7", b"serial = 8"), organisation.key.sign(raw, BUNDLE), "its signature is not good"),
        (raw, "", "its signature is not good"),
        (raw, "AAAA", "its signature is not good"),
    ]
    for text, sig, said in tries:
        with pytest.raises(BadBundle, match=said):
            open_bundle(text, sig, organisation.keys, (FLEET,), NOW)
    with pytest.raises(BadBundle, match="no key of `organisation`"):
        open_bundle(raw, organisation.key.sign(raw, BUNDLE), [], (FLEET,), NOW)


def test_nothing_is_parsed_before_the_signature_is_good(organisation: Organisation) -> None:
    raw = b"this = is no TOML = at all"
    with pytest.raises(BadBundle, match="no key of"):
        read_bundle(raw, organisation.stranger.sign(raw, BUNDLE), organisation.keys)
    with pytest.raises(BadBundle, match="it is not TOML"):
        read_bundle(raw, organisation.key.sign(raw, BUNDLE), organisation.keys)


def test_a_bundle_for_another_fleet_is_refused(organisation: Organisation) -> None:
    said = organisation.refusal(TEXT.replace(FLEET, "dev@rooms.example.org"))
    assert said == "it is for dev@rooms.example.org, which is no room of this account"


def test_a_serial_never_goes_back(organisation: Organisation) -> None:
    seven = organisation.bundle()
    assert organisation.bundle(TEXT, seven) == seven  # the same once more
    eight = organisation.bundle(TEXT.replace("serial = 7", "serial = 8"), seven)
    assert organisation.refusal(TEXT, eight) == "its serial 7 is older than 8, which is in force"
    said = organisation.refusal(TEXT.replace("admin", "owner"), seven)
    assert said == "serial 7 is in force with other content; give the new one a higher serial"


def test_an_expired_bundle_does_not_stop_its_follower_but_its_elders(organisation: Organisation) -> None:
    late = NOW + 92 * 86400
    old = organisation.bundle()
    assert old.out_of_date(late)
    newer = TEXT.replace("serial = 7", "serial = 8").replace("2027-02", "2028-02")
    assert organisation.bundle(newer, old, late).serial == 8
    assert "is older than 7" in organisation.refusal(newer.replace("serial = 8", "serial = 6"), old, late)


def test_an_account_in_two_rooms_obeys_the_fleet_that_came_first(organisation: Organisation) -> None:
    dev, first = "dev@rooms.example.org", organisation.bundle()
    raw = TEXT.replace(FLEET, dev).replace("serial = 7", "serial = 9").encode()
    sig = organisation.key.sign(raw, BUNDLE)
    with pytest.raises(BadBundle, match=f"this account obeys the policy of {FLEET}, not of {dev}"):
        open_bundle(raw, sig, organisation.keys, (FLEET, dev), NOW, first)
    # The room has moved: the old one is no room of the account any more.
    assert open_bundle(raw, sig, organisation.keys, (dev,), NOW, first).fleet == dev


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (NOW + 92 * 86400, "the policy bundle 7 of ops@rooms.example.org has expired (2027-02-18 11:00 UTC)"),
        (NOW - 3600, "the clock of this site says 2026-11-18 10:06 UTC, before its policy was issued"),
    ],
)
def test_a_bundle_is_taken_in_its_time_only(organisation: Organisation, now: float, said: str) -> None:
    assert organisation.refusal(now=now).startswith(said)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace("serial = 7\n", ""), "serial: is missing"),
        (lambda text: text.replace("serial = 7", "serial = 0"), "serial: must be at least 1"),
        (lambda text: text.replace("serial = 7", 'serial = "7"'), "serial: expected a number, got text"),
        (lambda text: text.replace("serial = 7", "serial = true"), "serial: expected a number"),
        (lambda text: text.replace("serial", "serail"), "serail: is not known here; did you mean serial?"),
        (lambda text: text.replace("2026-11-18T11:00:00Z", "yesterday"), "issued: must match"),
        (
            lambda text: text.replace("2026-11-18", "2026-02-30"),
            "'2026-02-30T11:00:00Z' is a day or time that does not exist",
        ),
        (lambda text: text.replace("2027", "2025"), "it expires before it is issued"),
        (
            lambda text: text.replace("@staff", "@stuff"),
            "policy.admin[0]: '@stuff' is neither a bare address nor a group",
        ),
        (lambda text: text.replace("service restart", "a b c"), "policy.allow[0].commands[0]: 'a b c' is no command"),
        (
            lambda text: text.replace("alice@example.org ssh", "alice ssh"),
            "signers line 1: 'alice' is not a bare address",
        ),
        (lambda text: text.replace("bob@example.org", "*@*"), "'*@*' would trust other domains"),
        (lambda text: "a = " + "[" * 5000, "it is not TOML in UTF-8"),
        (lambda text: text + "#" * MOST_TEXT, f"at most {MOST_TEXT} are taken"),
    ],
)
def test_a_bundle_with_a_mistake_is_refused_as_a_whole(
    organisation: Organisation, change: Callable[[str], str], said: str
) -> None:
    assert said in organisation.refusal(change(TEXT))


def test_many_mistakes_are_counted(organisation: Organisation) -> None:
    said = organisation.refusal(TEXT.replace('["@staff"]', '["a", "b", "c", "d"]'))
    assert said.count("is not a bare address") == 3
    assert said.endswith("; and 1 more")


@given(st.binary(max_size=300))
def test_whatever_the_organisation_signs_is_taken_or_refused(organisation: Organisation, raw: bytes) -> None:
    with pytest.raises(BadBundle):
        read_bundle(raw, organisation.key.sign(raw, BUNDLE), organisation.keys)


@given(st.text(max_size=200))
def test_whatever_is_sent_as_a_signature_is_refused(organisation: Organisation, sig: str) -> None:
    with pytest.raises(BadBundle):
        read_bundle(TEXT.encode(), sig, organisation.keys)
