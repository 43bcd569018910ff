"""What is signed travels unharmed and unread, and is never taken for what is not signed, nor the other way round."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amon.errors import Invalid
from amon.wire import (
    Challenge,
    Ended,
    Envelope,
    Proof,
    Request,
    WireError,
    body_of,
    decode,
    encode,
    read_challenge,
    read_envelope,
    read_proof,
    seal,
    unseal,
)

ID = "01JD8M5W8X1V6Q2R3S4T5V6W7X"
REQUEST = Request(ID, ("cern",), "service restart httpd", 30.0)
ENVELOPE = Envelope("alice@example.org", "ops@rooms.example.org", 1_000.0, 1_060.0, REQUEST)
PROOF = Proof("cern@agents.example.org", "alice@example.org", 1_001.5, Ended(ID, "done", "ok"))
CHALLENGE = Challenge(ID, "cern@agents.example.org", "alice@example.org", 1_000, 1_300, "update apply --reason 'bug 7'")


def test_the_bytes_that_were_signed_are_the_bytes_that_arrive() -> None:
    body = body_of(ENVELOPE)
    sealed = unseal(seal(body, "c2ln"))
    assert (sealed.body, sealed.sig) == (body, "c2ln")
    assert read_envelope(sealed.body) == ENVELOPE
    assert read_proof(unseal(seal(body_of(PROOF), "c2ln")).body) == PROOF


def test_a_signed_container_is_no_unsigned_payload() -> None:
    with pytest.raises(WireError, match="signed"):
        decode(seal(body_of(REQUEST), "c2ln"))


def test_an_envelope_that_lost_its_signature_is_nothing() -> None:
    with pytest.raises(WireError):
        decode(seal(body_of(ENVELOPE)))


def test_a_bare_request_is_no_envelope() -> None:
    with pytest.raises(WireError):
        read_envelope(unseal(encode(REQUEST)).body)


def test_opening_a_container_reads_nothing_of_its_body() -> None:
    assert unseal(seal("{ not even json", "c2ln")).body == "{ not even json"


@pytest.mark.parametrize("sig", ["x" * 5000, 7, ["c2ln"]])
def test_a_signature_of_another_shape_is_an_error(sig: object) -> None:
    with pytest.raises(WireError):
        unseal(json.dumps({"v": 1, "body": "{}", "sig": sig}))


def test_a_signed_body_has_a_limit_of_its_own() -> None:
    with pytest.raises(WireError, match="at most 65536"):
        unseal(json.dumps({"v": 1, "body": "x" * 70_000, "sig": "c2ln"}))


def test_a_field_that_is_there_twice_makes_it_no_envelope() -> None:
    body = body_of(ENVELOPE)
    with pytest.raises(WireError, match="twice"):
        read_envelope(body.replace('"by":', '"by":"eve@example.org","by":', 1))


@pytest.mark.parametrize("field", ["nbf", "cmd"])
def test_a_field_nobody_knows_makes_it_no_envelope(field: str) -> None:
    with pytest.raises(WireError):
        read_envelope(body_of(ENVELOPE).replace("{", f'{{"{field}":1,', 1))


def test_a_challenge_is_read_as_it_was_written() -> None:
    assert read_challenge(str(CHALLENGE)) == CHALLENGE


@pytest.mark.parametrize(
    "text",
    [
        "",
        "amon1",
        "rm -rf /",
        '{"type":"envelope"}',
        str(CHALLENGE) + "\nand another line",
        str(CHALLENGE).replace("amon1", "amon2"),
        str(CHALLENGE).replace(ID, ID[:-1]),
        str(CHALLENGE).replace("1000", "-1000"),
        str(CHALLENGE).replace(" 1300", ""),
        str(CHALLENGE) + "\u202e",
    ],
)
def test_what_is_no_challenge_is_said_to_be_none(text: str) -> None:
    with pytest.raises(Invalid, match="no challenge"):
        read_challenge(text)


@given(st.text())
def test_no_text_breaks_the_reader_of_challenges(text: str) -> None:
    try:
        assert str(read_challenge(text)) == text
    except Invalid:
        pass
