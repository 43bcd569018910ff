"""Output has hard caps: whatever a command gives back fits into one message, and says what is missing."""

import gc
import time
import tracemalloc
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amon.fields import Secret
from amon.runtime import caps
from amon.text import hidden
from amon.wire import Ended, decode, encode
from amon.words import Answer, Column, State
from amon.xmpp.markup import escape
from tests.runtime.scene import Row, Said, site
from tests.waiting import until

ID = "01JD8M5W8X1V6Q2R3S4T5V6W7X"
PROSODY = 256 * 1024  # bytes of a stanza
NASTY = st.sampled_from(["&", '"', "\\", "<", "\U0001f600", "ü", "x", "\n", "\x7f", "a b\n"])
DATA = st.recursive(
    st.builds(lambda letter, times: letter * times, NASTY, st.integers(0, 60_000)) | st.integers() | st.none(),
    lambda inner: st.lists(inner, max_size=30) | st.dictionaries(st.text('ab&"', max_size=20), inner, max_size=30),
    max_leaves=12,
)


@given(NASTY, st.integers(0, 300_000), DATA)
def test_every_outcome_fits_into_a_stanza(letter: str, times: int, data: object) -> None:
    outcome = caps.ended(ID, State.done, Answer(letter * times, data), 1.0)
    travels = encode(outcome)
    assert isinstance(decode(travels), Ended)
    assert len(escape(travels).encode()) < PROSODY - 1000


def test_rows_full_of_what_xml_escapes_are_fewer() -> None:
    outcome = caps.ended(ID, State.done, Answer("&" * 20_000, ["&<>" * 30] * 2000), 1.0)
    assert len(escape(encode(outcome)).encode()) < PROSODY // 2 + 1000
    assert len(outcome.data) > 10


def test_what_is_short_is_left_alone() -> None:
    rows = [{"name": "httpd", "state": "up"}] * 300
    outcome = caps.ended(ID, State.done, Answer("text", rows, (Column("name"), Column("state"))), 0.5)
    assert (outcome.text, outcome.data, outcome.cut) == ("text", rows, False)


def test_what_is_cut_says_so_and_how_much_there_was() -> None:
    outcome = caps.ended(ID, State.done, Answer("line\n" * 10_000), 0.5)
    assert outcome.cut
    assert outcome.text.endswith("line\n(cut after 16379 characters; ask for less)")
    assert len(outcome.text) < caps.TEXT_MOST + 100


def test_of_many_rows_the_first_are_kept_whole() -> None:
    rows = [{"name": f"unit-{n}", "state": "up"} for n in range(10_000)]
    outcome = caps.ended(ID, State.done, Answer("", rows), 0.5)
    assert outcome.data == rows[: len(outcome.data)]
    assert 1000 < len(outcome.data) < 2000
    assert outcome.cut


def test_of_a_table_every_name_stays_and_only_the_long_value_is_shortened() -> None:
    outcome = caps.ended(ID, State.done, Answer("", {"log": "x" * 1_000_000, "unit": "httpd", "pid": 7}), 0.5)
    assert list(outcome.data) == ["log", "unit", "pid"]
    assert (outcome.data["unit"], outcome.data["pid"]) == ("httpd", 7)
    assert 1000 < len(outcome.data["log"]) < 50_000


def test_a_long_list_does_not_take_the_place_of_what_stands_beside_it() -> None:
    lines = ["x" * 100] * 5000
    outcome = caps.ended(ID, State.done, Answer("", {"lines": lines, "unit": "httpd"}), 0.5)
    assert outcome.data["unit"] == "httpd"
    assert 100 < len(outcome.data["lines"]) < 500


def test_a_table_of_too_many_names_is_left_out() -> None:
    outcome = caps.ended(ID, State.done, Answer("", {f"name-{n}": None for n in range(100_000)}), 0.5)
    assert (outcome.data, outcome.cut) == ({}, True)


def test_more_columns_than_travel_do_not_lose_the_answer() -> None:
    answer = Answer("x", {}, tuple(Column(str(n)) for n in range(100)))
    assert isinstance(decode(encode(caps.ended(ID, State.done, answer, 0.5))), Ended)


@given(st.text())
def test_a_note_of_progress_is_one_short_line(text: str) -> None:
    assert len(caps.note(text)) <= 200
    assert not any(hidden(character) for character in caps.note(text))


@pytest.mark.parametrize("kind", ["text", "rows", "objects"])
async def test_fifty_megabytes_cost_little_time_and_stay_nowhere(tmp_path: Path, kind: str) -> None:
    results: dict[str, object] = {
        "text": Said("0123456789 0123456789 0123456789 0123456789 0123456\n" * 1_000_000),
        "rows": ["x" * 50] * 1_000_000,
        "objects": [Row("httpd", "up")] * 50_000,
    }
    async with site(tmp_path, file="j") as lab:
        lab.lab.body = lambda call: results[kind]
        tracemalloc.start()
        began = time.process_time()
        ear = await lab.ask("restart httpd")
        took = time.process_time() - began
        gc.collect()
        await until(lambda: tracemalloc.get_traced_memory()[0] < 2_000_000)  # a thread may still let go of it
        tracemalloc.stop()
        assert ear.last.state == "done"
        assert ear.last.cut
        assert ear.last.text.endswith(f"more lines: amon job {ear.last.id} --save DIR)")
        assert took < 10
        assert (tmp_path / "j-wal").stat().st_size < 2_000_000
        assert len(msgspec.json.encode(ear.last)) < caps.TRAVELS_MOST


HUSH = 'correct <horse> "battery"'


def test_a_secret_is_taken_out_of_words_and_data_wherever_it_stands() -> None:
    secret = Secret(HUSH)
    data = {"a": [{"b": f"x {HUSH} y"}], HUSH: [HUSH, 7, None], "number": 123456}
    answer = caps.discreetly(Answer(f"it is {HUSH!r} or {HUSH}", data, (Column("a"),)), [Secret("123456")])
    assert answer == Answer(
        "it is '***' or ***", {"a": [{"b": "x *** y"}], "***": ["***", 7, None], "number": "***"}, (Column("a"),)
    )
    assert secret.reveal() == HUSH


def test_what_holds_no_secret_is_left_as_it_is() -> None:
    secret = Secret(HUSH)
    data = [{"name": "horse"}]
    assert caps.discreetly(Answer("a horse", data)).data is data
    assert secret.reveal() == HUSH


def test_a_note_of_progress_is_discreet_before_it_is_cut() -> None:
    secret = Secret("x" * 300)
    assert caps.note(f"{'y' * 100}{secret.reveal()}") == "y" * 100 + "***"
