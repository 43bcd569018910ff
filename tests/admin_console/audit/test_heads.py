"""What the console remembers of chains is evidence: private, kept when a site shows something else, never guessed."""

import json
import stat
from pathlib import Path

import pytest

from admin_console.audit.heads import Heads
from amon.access import Link
from amon.errors import Failed

CERN, FNAL = "cern@agents.example.org", "fnal@agents.example.org"
NAME, OTHER = "ab" * 32, "cd" * 32


def link(seq: int) -> Link:
    return Link(seq, f"{seq:064x}")


@pytest.fixture
def heads(tmp_path: Path) -> Heads:
    return Heads(tmp_path / "amon" / "ops@rooms.example.org" / "audit_heads.json")


def points(heads: Heads, jid: str = CERN) -> list[int]:
    return [point.link.seq for point in heads.recall()[jid].points]


def test_what_was_never_seen_is_not_known(heads: Heads) -> None:
    assert heads.recall() == {}


def test_what_was_seen_is_known_the_next_time_and_to_nobody_else(heads: Heads) -> None:
    heads.remember({CERN: (NAME, link(7))}, 1000.0)
    known = Heads(heads.path).recall()[CERN]
    assert (known.chain, known.points[0].link, known.points[0].time) == (NAME, link(7), 1000.0)
    assert stat.S_IMODE(heads.path.stat().st_mode) == 0o600
    assert list(heads.path.parent.iterdir()) == [heads.path]


def test_some_points_of_each_chain_are_kept_the_last_for_certain(heads: Heads) -> None:
    for seq in range(1, 30):
        heads.remember({CERN: (NAME, link(seq))}, 1000.0 + seq)
    heads.remember({FNAL: (NAME, link(5))}, 2000.0)
    assert points(heads) == list(range(22, 30))
    assert points(heads, FNAL) == [5]


def test_a_chain_that_did_not_grow_is_one_point_with_the_last_day(heads: Heads) -> None:
    heads.remember({CERN: (NAME, link(7))}, 1000.0)
    heads.remember({CERN: (NAME, link(7))}, 2000.0)
    (point,) = heads.recall()[CERN].points
    assert point.time == 2000.0


def test_another_chain_has_nothing_of_the_one_before(heads: Heads) -> None:
    heads.remember({CERN: (NAME, link(7))}, 1000.0)
    heads.forget([CERN])
    assert heads.recall() == {}
    heads.remember({CERN: (OTHER, link(9))}, 2000.0)
    assert points(heads) == [9]


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", '{"version": 2, "sites": {}}', '{"version": 1, "sites": {"a": {"chain": "", "points": []}}}'],
)
def test_a_file_that_cannot_be_read_is_told_and_not_taken_for_none(heads: Heads, text: str) -> None:
    heads.path.parent.mkdir(parents=True)
    heads.path.write_text(text)
    with pytest.raises(Failed, match="bring it back from a backup, or move it away"):
        heads.recall()
    with pytest.raises(Failed):
        heads.remember({CERN: (NAME, link(7))}, 1000.0)
    assert heads.path.read_text() == text


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Failed, match=r"cannot be (read|written)"):
        Heads(tmp_path / "file" / "heads.json").remember({CERN: (NAME, link(7))}, 1000.0)


def test_it_is_json_that_other_programs_can_keep_elsewhere(heads: Heads) -> None:
    heads.remember({CERN: (NAME, link(7))}, 1000.0)
    assert json.loads(heads.path.read_text()) == {
        "version": 1,
        "sites": {CERN: {"chain": NAME, "points": [[7, link(7).hash, 1000.0]]}},
    }


def test_any_site_is_forgotten_not_only_the_first(heads: Heads) -> None:
    heads.remember({CERN: (NAME, link(5)), FNAL: (OTHER, link(7))}, 100.0)
    heads.forget(jid for jid in [FNAL])
    assert set(heads.recall()) == {CERN}
