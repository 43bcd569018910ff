"""Account records against the examples of the standards, and the paths they go to."""

from pathlib import Path

import pytest

from admin_console.server.accounts import account_file, prepared, record, write_account
from amon.errors import Invalid

DOMAINS = ("amon.test", "agents.amon.test")


def test_the_record_holds_verifiers_and_not_the_password() -> None:
    text = record("pencil", "0123456789abcdef", 4096)
    assert "pencil" not in text
    assert '["iteration_count"] = 4096;' in text
    assert '["salt"] = "0123456789abcdef";' in text


def test_two_accounts_with_one_password_have_different_records(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_account(tmp_path / name / "accounts" / "x.dat", "same", 4096)
    assert (tmp_path / "a/accounts/x.dat").read_text() != (tmp_path / "b/accounts/x.dat").read_text()


@pytest.mark.parametrize(
    ("jid", "path"),
    [
        ("alice@amon.test", "amon%2etest/accounts/alice.dat"),
        ("Site-1@agents.amon.test", "agents%2eamon%2etest/accounts/site%2d1.dat"),
        ("a.b_c@amon.test", "amon%2etest/accounts/a%2eb%5fc.dat"),
    ],
)
def test_the_path_is_the_one_that_prosody_reads(jid: str, path: str) -> None:
    assert account_file(Path("data"), jid, DOMAINS) == Path("data") / path


@pytest.mark.parametrize("jid", ["../x@amon.test", "a\0b@amon.test", "a b@amon.test", "x" * 65 + "@amon.test"])
def test_a_name_that_could_lead_elsewhere_is_refused(jid: str) -> None:
    with pytest.raises(Invalid, match="is no account"):
        account_file(Path("data"), jid, DOMAINS)


# RFC 4013, 3: the examples of the standard.
@pytest.mark.parametrize(
    ("given", "hashed"),
    [("I\u00adX", "IX"), ("user", "user"), ("USER", "USER"), ("\u00aa", "a"), ("\u2168", "IX"), ("a\u00a0b", "a b")],
)
def test_passwords_are_prepared_as_clients_prepare_them(given: str, hashed: str) -> None:
    assert prepared(given) == hashed


@pytest.mark.parametrize("given", ["", "\u0007", "\u0627\u0031", "\u00ad", "a\u202eb"])
def test_a_password_that_no_client_can_send_is_refused(given: str) -> None:
    with pytest.raises(Invalid, match="cannot be used"):
        prepared(given)
