"""Tokens of an enrolment: read back whole, and refused in words for whatever else somebody pastes."""

import base64
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amon.access.invitation import MARK, Invitation, read_token
from amon.errors import Invalid

PEM = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
SMALL = Invitation("cern@agents.example.org", "x" * 32, "ops@rooms.example.org", "alice@example.org", 1_000_000.0)
WHOLE = replace(
    SMALL, host="xmpp.example.org", port=443, tls="direct", ca=PEM, tags={"tier": "1"}, pins=(f"sha256/{'A' * 43}=",),
    organisation=("ssh-ed25519 AAAA",),
)  # fmt: skip


def packed(**changes: object) -> str:
    said = {
        "jid": SMALL.jid, "password": SMALL.password, "room": SMALL.room, "inviter": SMALL.inviter, "expires": 1,
        **changes,
    }  # fmt: skip
    return MARK + base64.urlsafe_b64encode(json.dumps(said).encode()).decode().rstrip("=")


@pytest.mark.parametrize("invitation", [SMALL, WHOLE])
def test_a_token_says_all_that_was_put_into_it(invitation: Invitation) -> None:
    assert read_token(invitation.token()) == invitation


def test_blanks_and_line_ends_of_a_copy_do_not_matter() -> None:
    token = WHOLE.token()
    assert read_token(f"  {token[:40]}\r\n{token[40:90]} {token[90:]}\n") == WHOLE


def test_no_line_of_a_token_is_longer_than_a_terminal_takes() -> None:
    long = replace(WHOLE, ca=PEM * 100)
    assert len(long.token()) > 4095
    assert max(map(len, long.written().split("\n"))) <= 2000
    assert read_token(long.written()) == long
    assert WHOLE.written() == WHOLE.token(), "one line where one line does"


def test_a_token_does_not_show_its_password_where_it_is_printed_by_mistake() -> None:
    assert SMALL.password not in repr(SMALL)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "there is no token"),
        ("cern", "this is no token of amon"),
        ("amon2.abcd", "this is no token of amon"),
        (MARK + "!!!!", "not whole"),
        (WHOLE.token()[:-5], "not whole"),
        (MARK + "A" * 40_000, "this is no token of amon"),
        (MARK + base64.urlsafe_b64encode(b"[" * 20_000).decode(), "not whole"),
        (MARK + base64.urlsafe_b64encode(b"[1]").decode(), "cannot be used"),
        (packed(more=1), "cannot be used: more"),
        (packed(jid="cern"), "cannot be used: jid"),
        (packed(jid="a@b\n[account.main.policy]"), "cannot be used: jid"),
        (packed(password="short"), "cannot be used: password"),
        (packed(password=1), "cannot be used: password"),
        (packed(port=0), "cannot be used: port"),
        (packed(pins=["sha256/short"]), "cannot be used: pins"),
        (packed(tls="none"), "cannot be used: tls"),
        (packed(host='x"\nroom'), "cannot be used: host"),
        (packed(ca="/etc/passwd"), "cannot be used: ca"),
        (packed(tags={'a"]': "x"}), "cannot be used: tags"),
        (packed(organisation=["# no"]), "cannot be used: organisation"),
    ],
)
def test_anything_else_is_refused_in_words(text: str, why: str) -> None:
    with pytest.raises(Invalid) as refused:
        read_token(text)
    assert why in str(refused.value)
    assert SMALL.password not in str(refused.value)


@given(st.text() | st.binary().map(lambda data: MARK + base64.urlsafe_b64encode(data).decode()))
def test_no_text_at_all_does_more_than_be_refused(text: str) -> None:
    with pytest.raises(Invalid):
        read_token(text)
