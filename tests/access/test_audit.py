"""The chain by itself: each kind of tampering with it is found where it can be, and said by number.

What cannot be found by the lines alone is shown here too: an end that was cut off, and a whole chain written anew, fit
their anchor; only who remembers a later line, or the chain's own name, can tell (test_trails.py of the console).
"""

import json
from dataclasses import replace
from typing import Any

import pytest

from amon.access import AuditRecord, Line, Link, digest_of, hash_of, verify_chain

ANCHOR = Link(0, "ab" * 32)
RECORD = AuditRecord(1000.5, "main", "alice@example.org", None, "01J", "host status", True, "admin alice", "done")


def chain(count: int, anchor: Link = ANCHOR, **changes: Any) -> list[Line]:
    """An honest chain after `anchor`."""
    lines = []
    for seq in range(anchor.seq + 1, anchor.seq + 1 + count):
        record = replace(RECORD, id=f"id-{seq}", **changes)
        digest = digest_of(record)
        anchor = Link(seq, hash_of(bytes.fromhex(anchor.hash), seq, digest).hex())
        lines.append(Line(seq, record, digest.hex(), anchor.hash))
    return lines


def test_an_untouched_chain_is_sound_and_ends_at_its_last_line() -> None:
    lines = chain(9)
    verdict = verify_chain(lines, ANCHOR)
    assert (verdict.fault, verdict.head) == ("", Link(9, lines[-1].hash))


def test_no_lines_at_all_end_where_they_begin() -> None:
    assert verify_chain([], ANCHOR).head == ANCHOR


def test_it_can_be_verified_piece_by_piece() -> None:
    lines = chain(9)
    middle = verify_chain(lines[:4], ANCHOR).head
    assert verify_chain(lines[4:], middle).head == Link(9, lines[-1].hash)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("time", 1000.25), ("account", "other"), ("asker", "eve@example.org"), ("room", ""), ("id", "x"),
        ("line", "host reboot"), ("allowed", False), ("rule", "owner alice"), ("outcome", "refused"),
        ("key", "SHA256:x"), ("effect", "danger"),
    ],
)  # fmt: skip
def test_a_line_edited_in_any_field_is_found(field: str, value: object) -> None:
    lines = chain(9)
    record = lines[4].record
    assert record is not None
    changed: dict[str, Any] = {field: value}
    lines[4] = replace(lines[4], record=replace(record, **changed))
    verdict = verify_chain(lines, ANCHOR)
    assert verdict.fault == "line 5 is not what was written after line 4"
    assert verdict.head == Link(4, lines[3].hash)


def test_an_edit_with_a_new_hash_of_its_own_is_found_at_the_next_line() -> None:
    lines = chain(9)
    digest = digest_of(replace(RECORD, outcome="refused"))
    forged = hash_of(bytes.fromhex(lines[3].hash), 5, digest).hex()
    lines[4] = Line(5, replace(RECORD, outcome="refused"), digest.hex(), forged)
    assert verify_chain(lines, ANCHOR).fault == "line 6 is not what was written after line 5"


def test_a_line_deleted_is_found() -> None:
    assert verify_chain([one for one in chain(9) if one.seq != 5], ANCHOR).fault == "line 5 is missing"
    assert verify_chain([one for one in chain(9) if one.seq not in (5, 6)], ANCHOR).fault == "lines 5 to 6 are missing"


def test_a_line_deleted_and_the_others_renumbered_is_found() -> None:
    lines = chain(9)
    closed = lines[:4] + [replace(one, seq=one.seq - 1) for one in lines[5:]]
    assert verify_chain(closed, ANCHOR).fault == "line 5 is not what was written after line 4"


def test_a_line_put_in_or_doubled_is_found() -> None:
    lines = chain(9)
    assert verify_chain([*lines[:5], lines[4], *lines[5:]], ANCHOR).fault.startswith("line 5 stands after line 5")


def test_lines_in_another_order_are_found() -> None:
    lines = chain(9)
    lines[3], lines[4] = lines[4], lines[3]
    assert verify_chain(lines, ANCHOR).fault == "line 4 is missing"
    swapped = chain(9)
    swapped[3], swapped[4] = replace(swapped[4], seq=4), replace(swapped[3], seq=5)
    assert verify_chain(swapped, ANCHOR).fault == "line 4 is not what was written after line 3"


def test_a_beginning_cut_off_is_found_by_the_anchor() -> None:
    assert verify_chain(chain(9)[3:], ANCHOR).fault == "lines 1 to 3 are missing"
    moved = Link(3, "cd" * 32)  # an anchor that was moved along, but is not the line that was dropped
    assert verify_chain(chain(9)[3:], moved).fault == "line 4 is not what was written after line 3"


def test_an_end_cut_off_and_a_chain_written_anew_fit_and_show_in_the_head_alone() -> None:
    lines = chain(9)
    assert verify_chain(lines[:6], ANCHOR).fault == ""
    assert verify_chain(lines[:6], ANCHOR).head != Link(9, lines[-1].hash)
    anew = chain(9, outcome="refused")
    assert verify_chain(anew, ANCHOR).fault == ""
    assert verify_chain(anew, ANCHOR).head != Link(9, lines[-1].hash)


def test_a_withheld_line_is_verified_by_its_digest() -> None:
    lines = chain(9)
    lines[4] = replace(lines[4], record=None)
    assert verify_chain(lines, ANCHOR).fault == ""
    lines[4] = replace(lines[4], digest="00" * 32)
    assert verify_chain(lines, ANCHOR).fault == "line 5 is not what was written after line 4"


def test_the_digest_shown_beside_a_record_counts_for_nothing() -> None:
    lines = chain(9)
    record = replace(RECORD, outcome="refused")
    lines[4] = replace(lines[4], record=record)  # and the digest of what was there
    assert verify_chain(lines, ANCHOR).fault == "line 5 is not what was written after line 4"


@pytest.mark.parametrize("bad", ["", "zz", "ab" * 31, "ü" * 64])
def test_what_is_no_hash_or_digest_is_a_fault_and_no_crash(bad: str) -> None:
    assert verify_chain([replace(chain(1)[0], hash=bad)], ANCHOR).fault
    assert verify_chain([replace(chain(1)[0], record=None, digest=bad)], ANCHOR).fault
    assert verify_chain(chain(1), Link(0, bad)).fault


def test_a_number_beyond_all_bounds_is_a_fault_and_no_crash() -> None:
    far = Link(2**80, "ab" * 32)
    assert verify_chain([replace(chain(1)[0], seq=2**80 + 1)], far).fault == f"line {2**80 + 1} cannot be hashed"


def test_no_two_records_have_the_same_bytes() -> None:
    """The fields' borders are hashed: what moves from one into the next is another line."""
    one = replace(RECORD, rule="a", outcome="b1:c")
    moved = (
        replace(RECORD, rule="a1:b", outcome="c"),
        replace(RECORD, room=""),
        replace(RECORD, rule="", outcome="ab"),
    )
    assert len({digest_of(record) for record in (one, RECORD, *moved)}) == 5


def test_the_form_is_that_of_version_1_for_ever() -> None:
    """Recorded: a chain that was collected years ago must still verify."""
    record = replace(RECORD, room="ops@rooms.example.org", asker="jürgen@example.org", effect="read")
    assert digest_of(record).hex() == "473eacdf61e1703bd524756222ba9319ef6b4ba461ea280ac0a5b9642a323e3b"
    assert (
        hash_of(bytes(32), 7, digest_of(record)).hex()
        == "7411efaa7b42e59c02bc52f6f7360bc6b21114c7b9ed6b025fce8dbd9ca849d6"
    )


def test_a_record_that_went_through_json_has_the_same_digest() -> None:
    record = replace(RECORD, time=1763643042.1234567)
    assert digest_of(replace(record, time=json.loads(json.dumps(record.time)))) == digest_of(record)
