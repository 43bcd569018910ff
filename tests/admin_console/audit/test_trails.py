"""One site's audit as the console reads it: every tampering that a memory of the chain can show is told in words.

What nobody can tell: a chain that was begun anew before the console ever saw it, and lines after the last head that
anybody remembers, if they were written anew together with the head.
"""

from dataclasses import replace
from typing import Any

import pytest

from admin_console.audit.page import read_page
from admin_console.audit.trails import Known, Point, Trail
from amon.access import AuditRecord, Line, Link, digest_of, hash_of, verify_chain

NAME = "ab" * 32
RECORD = AuditRecord(1000.5, "main", "alice@example.org", None, "01J", "host status", True, "admin alice", "done")
DAY = 1_763_643_042.0
ON = "2025-11-20 12:50:42"


class Site:
    """An agent's end of it, honest as long as nobody touches `lines`."""

    def __init__(self, count: int, name: str = NAME, page: int = 10, **changes: Any) -> None:
        self.name, self.page = name, page
        self.anchor = Link(0, name)
        self.lines: list[Line] = []
        self.grow(count, **changes)

    def grow(self, count: int, **changes: Any) -> None:
        for _ in range(count):
            seq = self.head.seq + 1
            record = replace(RECORD, **{"id": f"id-{seq}", **changes})
            digest = digest_of(record)
            hashed = hash_of(bytes.fromhex(self.head.hash), seq, digest).hex()
            self.lines.append(Line(seq, record, digest.hex(), hashed))

    @property
    def head(self) -> Link:
        return Link(self.lines[-1].seq, self.lines[-1].hash) if self.lines else self.anchor

    def answer(self, after: int | None = None, count: int = 10, **lies: Any) -> dict[str, Any]:
        """As data that travelled."""
        meant = self.lines[-count:] if after is None else [one for one in self.lines if one.seq > after]
        ends = {one.seq: one.hash for one in self.lines} | {self.anchor.seq: self.anchor.hash}
        first = meant[0].seq - 1 if meant else self.head.seq
        entries = [_entry(one) for one in meant[: self.page]]
        return {
            "chain": self.name, "anchor_seq": self.anchor.seq, "anchor_hash": self.anchor.hash,
            "head_seq": self.head.seq, "head_hash": self.head.hash, "before_seq": first,
            "before_hash": ends.get(first, self.anchor.hash), "more": len(meant) > self.page, "lines": entries, **lies,
        }  # fmt: skip

    def known(self, *seqs: int) -> Known:
        """What a console remembers that looked when these were the last lines."""
        hashes = {one.seq: one.hash for one in self.lines}
        return Known(self.name, tuple(Point(Link(seq, hashes[seq]), DAY) for seq in seqs))

    def drop(self, count: int) -> None:
        self.anchor = Link(self.lines[count - 1].seq, self.lines[count - 1].hash)
        del self.lines[:count]


def _entry(line: Line) -> dict[str, Any]:
    record = line.record or AuditRecord(0.0, "", "", None, "", "", False, "", "")
    names = ("time", "account", "asker", "room", "id", "line", "allowed", "rule", "outcome", "key", "effect")
    told = {name: getattr(record, name) for name in names}
    return {"seq": line.seq, **told, "hash": line.hash, "digest": line.digest if line.record is None else ""}


def read(site: Site, known: Known | None = None, count: int = 10, **more: Any) -> Trail:
    """Page on until it wants no more."""
    trail = Trail("cern", 1000, known, **more)
    trail.take(site.answer(count=count))
    while trail.after is not None and not trail.fault:
        trail.take(site.answer(trail.after))
    return trail


def shown(trail: Trail) -> list[int]:
    return [line.seq for line in trail.lines]


def test_the_last_lines_of_a_site_that_is_new_are_sound_as_far_as_they_go() -> None:
    trail = read(Site(50))
    assert (trail.fault, shown(trail), trail.at) == ("", list(range(41, 51)), Site(50).head)
    assert trail.soundness == "sound from line 41 to line 50, seen for the first time"


def test_a_chain_that_grew_is_read_from_the_line_that_was_seen_last() -> None:
    site = Site(50)
    known = site.known(20)
    trail = read(site, known)
    assert trail.soundness == f"sound from line 21 to line 50, and as it was on {ON}"
    assert trail.first == known.points[0].link
    assert shown(trail) == list(range(41, 51))
    assert trail.pages == 4


def test_a_chain_that_did_not_grow_is_as_it_was() -> None:
    site = Site(50)
    trail = read(site, site.known(50), count=5)
    assert trail.fault == ""
    assert ", and as it was on 2025-11-20" in trail.soundness


def test_all_of_a_chain_is_read_from_its_oldest_line_if_that_is_wished() -> None:
    site = Site(50)
    site.drop(7)
    trail = read(site, site.known(20), whole=True)
    assert (trail.fault, trail.first) == ("", site.anchor)
    assert trail.soundness.startswith("sound from line 8 to line 50, and as it was on")
    assert shown(trail) == list(range(41, 51))


def test_an_empty_chain_is_sound() -> None:
    assert read(Site(0)).fault == ""
    assert read(Site(0), whole=True).soundness == "sound: no new lines after 0, seen for the first time"


# Tampering


def test_an_edited_line_is_told() -> None:
    site = Site(50)
    site.lines[29] = replace(site.lines[29], record=replace(RECORD, outcome="refused"))
    assert read(site, whole=True).fault == "broken: line 30 is not what was written after line 29"


def test_a_deleted_line_is_told() -> None:
    site = Site(50)
    del site.lines[29]
    assert read(site, whole=True).fault == "broken: line 30 is missing"


def test_a_line_put_in_and_lines_that_changed_places_are_told() -> None:
    site = Site(50)
    site.lines.insert(25, site.lines[24])
    assert read(site, whole=True).fault.startswith("broken: line 25 stands after line 25")
    site = Site(50)
    site.lines[29], site.lines[30] = site.lines[30], site.lines[29]
    assert read(site, whole=True).fault == "broken: line 30 is missing"


def test_a_beginning_cut_off_is_told_if_the_anchor_does_not_fit() -> None:
    site = Site(50)
    del site.lines[:20]
    assert read(site, whole=True).fault == "broken: lines 1 to 20 are missing"
    site.anchor = Link(20, "cd" * 32)
    assert read(site, whole=True).fault == "broken: line 21 is not what was written after line 20"


def test_an_anchor_that_is_not_what_the_oldest_line_follows_is_told() -> None:
    site = Site(50)
    site.drop(7)
    trail = Trail("cern", 1000, whole=True)
    trail.take(site.answer(anchor_hash="cd" * 32))
    trail.take(site.answer(trail.after, anchor_hash="cd" * 32))
    assert trail.fault == "line 7 is not the one that its chain says was dropped last"


def test_a_beginning_dropped_with_what_is_remembered_is_told() -> None:
    site = Site(50)
    known = site.known(20)
    site.drop(30)
    fault = read(site, known).fault
    assert fault.startswith("its lines up to 30 were dropped, with line 20, seen on 2025-11-20")


def test_an_end_cut_off_is_told() -> None:
    site = Site(50)
    known = site.known(50)
    del site.lines[40:]
    assert read(site, known).fault.startswith(
        "cut off: it ends with line 40, and there was line 50, seen on 2025-11-20"
    )


def test_an_end_cut_off_and_grown_again_is_told() -> None:
    site = Site(50)
    known = site.known(50)
    del site.lines[40:]
    site.grow(30, outcome="refused")
    assert read(site, known).fault.startswith("rewritten: line 50 is another than on 2025-11-20")


def test_a_chain_that_was_written_anew_as_a_whole_is_told() -> None:
    known = Site(50).known(20, 50)
    assert read(Site(60, outcome="refused"), known, whole=True).fault.startswith("rewritten: line 20 is another")


def test_a_chain_that_was_forked_is_told_with_the_last_line_that_is_as_it_was() -> None:
    site = Site(50)
    known = site.known(20, 30, 50)
    del site.lines[40:]
    site.grow(30, outcome="refused")
    fault = read(site, known, whole=True).fault
    assert fault.startswith("forked after line 30, which is still as on 2025-11-20")
    assert "line 50 is another than on" in fault


def test_a_journal_that_was_deleted_is_told() -> None:
    fault = read(Site(90, name="cd" * 32), Site(50).known(50)).fault
    assert fault.startswith("another chain than that of line 50, seen on 2025-11-20")
    assert fault.endswith("its journal was deleted, replaced or written anew")


def test_a_new_chain_that_takes_the_name_of_the_old_one_is_told() -> None:
    known = Site(50).known(50)
    assert read(Site(90, id="other"), known).fault.startswith("rewritten: line 50 is another")


def test_a_site_that_only_repeats_what_is_remembered_cannot_go_on_from_it() -> None:
    """It says that line 50 is what it was; the lines after it were made for another line 50."""
    known = Site(50).known(50)
    site = Site(90, id="other")
    trail = Trail("cern", 1000, known)
    trail.take(site.answer())
    trail.take(site.answer(trail.after, before_hash=known.points[0].link.hash))
    assert trail.fault == "broken: line 51 is not what was written after line 50"


def test_a_withheld_line_is_counted_and_not_shown() -> None:
    site = Site(50)
    site.lines[45] = replace(site.lines[45], record=None)
    trail = read(site)
    assert (trail.fault, trail.withheld, len(trail.lines)) == ("", 1, 9)


# What a hostile site may send


def test_a_head_that_its_lines_do_not_lead_to_is_told() -> None:
    trail = Trail("cern", 1000)
    trail.take(Site(50).answer(head_hash="cd" * 32))
    assert trail.fault == "broken: line 50 is not what it said its last line was"


def test_a_site_that_gives_nothing_more_is_not_asked_for_ever() -> None:
    site = Site(50)
    trail = Trail("cern", 1000, whole=True)
    trail.take(site.answer())
    trail.take(site.answer(trail.after))
    trail.take(site.answer(trail.after) | {"lines": []})
    assert trail.fault == "it gives no line after 10, though its last is 50"
    assert trail.after is None


def test_a_site_that_gives_its_lines_one_by_one_is_given_up_some_time() -> None:
    site = Site(50, page=1)
    trail = Trail("cern", 1000, whole=True, most_pages=20)
    trail.take(site.answer())
    while trail.after is not None:
        trail.take(site.answer(trail.after))
    assert trail.fault == "it gives too few lines at once; only those up to 19 were read"


def test_a_site_that_grows_while_it_is_read_is_read_to_where_it_was() -> None:
    site = Site(50)
    trail = Trail("cern", 1000, whole=True)
    trail.take(site.answer())
    site.grow(100)
    while trail.after is not None:
        trail.take(site.answer(trail.after))
    assert (trail.fault, trail.at) == ("", Link(50, site.lines[49].hash))


def test_lines_from_elsewhere_than_was_asked_for_are_told() -> None:
    site = Site(50)
    trail = Trail("cern", 1000, whole=True)
    trail.take(site.answer())
    trail.take(site.answer(30))
    assert trail.fault == "broken: lines 1 to 30 are missing"
    trail = Trail("cern", 1000, site.known(20))
    trail.take(site.answer())
    trail.take(site.answer(5))
    assert trail.fault == "it gives lines after 5, and was asked for those after 20"


def test_a_chain_that_becomes_another_while_it_is_read_is_told() -> None:
    trail = Trail("cern", 1000, whole=True)
    trail.take(Site(50).answer())
    trail.take(Site(50, name="cd" * 32).answer(trail.after))
    assert trail.fault == "its chain became another one while it was read"


@pytest.mark.parametrize(
    ("lies", "fault"),
    [
        ({"anchor_hash": "cd" * 32}, "its chain does not begin with its name"),
        ({"anchor_seq": 99}, "its chain ends before it begins"),
    ],
)
def test_ends_that_make_no_sense_are_told(lies: dict[str, Any], fault: str) -> None:
    trail = Trail("cern", 1000)
    trail.take(Site(50).answer(**lies))
    assert trail.fault == fault


def _deep() -> Any:
    data: Any = []
    for _ in range(5000):
        data = [data]
    return data


@pytest.mark.parametrize(
    "data",
    [
        None, "sound", 7, [], {}, {"chain": NAME}, Site(5).answer(chain="AB" * 32), Site(5).answer(chain=NAME + "\n"),
        Site(5).answer(head_seq=-1), Site(5).answer(head_seq=2**60), Site(5).answer(head_seq=True),
        Site(5).answer(lines=[_entry(Site(1).lines[0])] * 1001), Site(5).answer(lines=[None]),
        Site(5).answer(lines=_deep()),
        Site(5).answer(lines=[_entry(Site(1).lines[0]) | {"line": "x" * 5000}]),
        Site(5).answer(lines=[_entry(Site(1).lines[0]) | {"time": 1e300}]),
        Site(5).answer(lines=[_entry(Site(1).lines[0]) | {"digest": "zz"}]),
    ],
)  # fmt: skip
def test_what_is_no_page_is_no_audit(data: Any) -> None:
    trail = Trail("cern", 1000)
    trail.take(data)
    assert (read_page(data), trail.fault, trail.after) == (None, "its answer is no audit", None)


def test_no_more_lines_are_kept_than_are_shown() -> None:
    site = Site(500)
    trail = Trail("cern", 7, whole=True, shown_from=0)
    trail.take(site.answer())
    while trail.after is not None:
        trail.take(site.answer(trail.after))
    assert shown(trail) == list(range(494, 501))


# Lines that the site picked


def test_picked_lines_are_taken_in_their_order_and_only_the_ends_are_compared() -> None:
    site = Site(50)
    trail = Trail("cern", 1000, site.known(50), picked=True)
    some = [_entry(site.lines[place]) for place in (3, 17, 29)]
    trail.take(site.answer(lines=some[:2], more=True))
    assert trail.after == 18
    trail.take(site.answer(lines=some[2:], more=False))
    assert (trail.fault, shown(trail), trail.soundness) == ("", [4, 18, 30], "not verified")
    trail = Trail("cern", 1000, site.known(50), picked=True)
    trail.take(Site(40).answer(lines=[], more=False))
    assert trail.fault.startswith("cut off")


def test_a_site_that_gives_picked_lines_again_and_again_is_told() -> None:
    site = Site(50)
    trail = Trail("cern", 1000, picked=True)
    for _ in range(2):
        trail.take(site.answer(more=True))
    assert trail.fault == "it gives line 41 after line 50"


def test_the_scene_is_honest() -> None:
    site = Site(50)
    assert verify_chain(site.lines, site.anchor).head == site.head
