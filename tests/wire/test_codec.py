"""Payloads go there and back unharmed; whatever else arrives is one kind of error, at once and in words."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amon.ids import new_id
from amon.wire import (
    LONGEST_PAYLOAD,
    Accepted,
    Cancel,
    Ended,
    Fetch,
    NeedsWord,
    Payload,
    Progress,
    Request,
    WireError,
    decode,
    decode_health,
    encode,
    read_envelope,
    read_payload,
    read_proof,
    unseal,
)

ID = "01JD8M5W8X1V6Q2R3S4T5V6W7X"
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
LINE = {"type": "request", "id": ID, "names": ["cern"], "line": "uptime", "deadline": 30.0}
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | NUMBERS | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=20,
)
REQUESTS = st.builds(
    Request,
    id=st.just(ID),
    names=st.lists(st.text("abc-.", min_size=1, max_size=9), max_size=9).map(tuple),
    line=WORDS,
    deadline=st.floats(0.001, 86_400),
    job_sites=st.integers(1, 1_000_000),
    dry_run=st.booleans(),
    confirmed=st.booleans(),
)
COLUMNS = st.lists(st.tuples(WORDS, st.none() | WORDS, WORDS), max_size=5).map(tuple)
ENDS = st.builds(
    Ended,
    id=st.just(ID),
    state=st.sampled_from(["done", "failed", "not-here"]),
    text=WORDS,
    data=JSON,
    columns=COLUMNS,
    seconds=st.none() | st.floats(0, 1e6),
    cut=st.booleans(),
)
OTHERS = st.one_of(
    st.builds(Fetch, id=st.just(ID)),
    st.builds(Cancel, id=st.just(ID)),
    st.builds(Accepted, id=st.just(ID)),
    st.builds(Progress, id=st.just(ID), text=WORDS, fraction=st.none() | st.floats(0, 1)),
    st.builds(NeedsWord, id=st.just(ID), effect=st.sampled_from(["change", "danger"]), text=WORDS),
)


def container(body: object, v: object = 1, **more: object) -> str:
    return json.dumps({"v": v, "body": body if isinstance(body, str) else json.dumps(body), **more})


@given(REQUESTS | ENDS | OTHERS)
def test_what_is_sent_is_what_arrives(payload: Payload) -> None:
    assert decode(encode(payload)) == payload


@given(st.text() | JSON.map(json.dumps) | JSON.map(container) | st.binary().map(lambda raw: raw.decode("latin-1")))
def test_nothing_but_a_payload_is_taken_for_one_and_the_error_is_always_the_same_kind(text: str) -> None:
    with pytest.raises(WireError):
        decode(text)


@given(st.integers(0, 10_000), st.characters())
def test_a_payload_in_which_one_letter_was_changed_never_brings_down_the_reader(place: int, letter: str) -> None:
    text = encode(Request(ID, ("cern", "desy"), "service restart httpd", 30.0))
    place %= len(text)
    try:
        decode(text[:place] + letter + text[place + 1 :])
    except WireError:
        pass


@pytest.mark.parametrize(
    "changed",
    [
        {"type": "reqest"}, {"id": "1"}, {"id": "../../etc"}, {"id": ID.lower()}, {"id": ID + "\n"}, {"id": None},
        {"names": "cern"}, {"names": [""]}, {"names": ["x" * 256]}, {"names": ["x"] * 257},
        {"line": "x" * 8193}, {"line": 7},
        {"deadline": 0}, {"deadline": -1}, {"deadline": 86_401}, {"deadline": 1e999}, {"deadline": "soon"},
        {"deadline": 10**400}, {"job_sites": 0}, {"job_sites": 10**30}, {"job_sites": 1.5}, {"confirmed": "yes"},
        {"confirmed": 1}, {"unknown": 1}, {"dry-run": True},
    ],
    ids=repr,
)  # fmt: skip
def test_a_request_out_of_bounds_is_none(changed: dict[str, Any]) -> None:
    decode(container(LINE))
    with pytest.raises(WireError, match="not a payload"):
        decode(container({**LINE, **changed}))


@pytest.mark.parametrize("missing", ["type", "id", "names", "line", "deadline"])
def test_a_request_without_what_it_needs_is_none(missing: str) -> None:
    with pytest.raises(WireError):
        decode(container({name: value for name, value in LINE.items() if name != missing}))


@pytest.mark.parametrize(
    "text",
    [
        "", "null", "[]", "{}", '{"v":1}', container(LINE, v=1.0), container(LINE, v="1"), container(LINE, v=True),
        container(LINE, extra=1), container(LINE, sig=5), container("x" * 99), json.dumps({"v": 1, "body": LINE}),
        "[" * 100_000, container("[" * 100_000), "1" * 100_000, container("1" * 60_000),
        '{"v":1' + "0" * 5000 + ',"body":""}',
    ],
    ids=lambda text: text[:24],
)  # fmt: skip
def test_a_container_that_is_none_says_so(text: str) -> None:
    with pytest.raises(WireError):
        decode(text)


def test_another_version_is_named() -> None:
    with pytest.raises(WireError, match="payload of version 2; this side speaks 1"):
        decode(container("whatever it is by then", v=2))


def test_an_order_that_names_a_field_twice_is_none() -> None:
    body = json.dumps(LINE)
    twice = body[:-1] + ', "line": "service stop httpd"}'
    with pytest.raises(WireError, match="a field is there twice"):
        decode(container(twice))
    with pytest.raises(WireError, match="a field is there twice"):
        decode(container(body)[:-1] + f', "body": {json.dumps(body)}}}')


def test_answers_may_carry_more_than_this_side_knows() -> None:
    body = {"type": "ended", "id": ID, "state": "done", "since_next_year": [1]}
    assert decode(container(body)) == Ended(ID, "done")


def test_deep_nesting_in_an_answer_is_an_error_and_not_the_end() -> None:
    deep = "[" * 60_000 + "]" * 60_000
    with pytest.raises(WireError):
        decode(container('{"type":"ended","id":"' + ID + '","state":"done","data":' + deep + "}"))


def test_huge_numbers_in_an_answer_cost_no_time() -> None:
    began = time.thread_time()
    for number in ("9" * 100_000, "9" * 4000, "1e999999"):
        try:
            decode(container('{"type":"ended","id":"' + ID + '","state":"done","data":' + number + "}"))
        except WireError:
            pass
    assert time.thread_time() - began < 1


def test_what_is_too_long_is_neither_written_nor_read() -> None:
    with pytest.raises(WireError, match=f"at most {LONGEST_PAYLOAD} travel"):
        encode(Ended(ID, "done", "x" * LONGEST_PAYLOAD))
    with pytest.raises(WireError, match=f"at most {LONGEST_PAYLOAD} are read"):
        decode("x" * (LONGEST_PAYLOAD + 1))


def test_text_that_is_not_unicode_does_not_travel() -> None:
    with pytest.raises(WireError, match="not Unicode"):
        encode(Request(ID, ("cern",), "look \udcff", 30.0))


def test_a_fresh_id_is_one_that_travels() -> None:
    assert decode(encode(Fetch(new_id(1_700_000_000.0)))).id


@pytest.mark.parametrize("read", [unseal, read_payload, read_proof, read_envelope, decode_health])
def test_what_is_said_of_nonsense_is_short_however_long_its_names_are(read: Callable[[str], object]) -> None:
    for text in ('{"' + "x" * 3000 + '": 1}', '{"type": "' + "x" * 3000 + '"}', '{"v": 1, "' + "x" * 3000 + '": 1}'):
        with pytest.raises(WireError) as wrong:
            read(text)
        assert len(str(wrong.value)) < 300
