"""The log: what peers sent cannot look like a line of ours."""

import logging
from collections.abc import Iterator

import pytest

from amon.log import set_up


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_what_a_peer_sent_is_no_line_of_its_own(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    set_up()
    logging.getLogger("amon.test").warning("from %s: %s", "eve", "field `x\x1b[2J\n2026-01-01 ERROR all is lost`")
    first, second = capsys.readouterr().err.splitlines()
    assert first.endswith("WARNING amon.test: from eve: field `x\ufffd[2J")
    assert second == "  2026-01-01 ERROR all is lost`"


def test_the_journal_hears_the_level_of_each_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "8:1")
    set_up()
    logging.getLogger("amon.test").error("one\ntwo")
    assert capsys.readouterr().err == "<3>amon.test: one\n<3>  two\n"


def test_what_is_less_than_wanted_is_not_said(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("warning")
    logging.getLogger("amon.test").info("nothing to see")
    assert capsys.readouterr().err == ""
