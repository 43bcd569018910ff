"""The table by example: what happens in an order that networks and kernels do happen in."""

import numpy as np
import pytest

from amon.engine.messages import STATES
from amon.engine.packets.cells import CHUNK
from amon.engine.packets.replies import ECHO, ERROR, EXCEEDED, FULL, LOW, NAMED, Replies, none
from amon.engine.packets.table import Closed, Table
from amon.engine.packets.targets import Targets
from amon.engine.shapes import U32, Probes

TIMEOUT = 1000


def addresses(count: int) -> Targets:
    """Row n has the low half n."""
    targets = Targets(count)
    targets.add(np.zeros(count, np.uint64), np.arange(count, dtype=np.uint64))
    return targets


class Desk:
    """A table, and replies put into it by slot."""

    def __init__(self, size: int = 2048, first: int = 0, targets: int = 64) -> None:
        self.table = Table(size, first)
        self.targets = addresses(targets)
        self.nonce = 1000
        self.nonces: dict[int, int] = {}

    def take(self, count: int, job: int = 0, target: int = 0, timeout: int = TIMEOUT) -> U32:
        none = np.zeros(count, np.uint8)
        about = np.full(count, target, np.uint32)
        probes = Probes(np.full(count, job, np.uint16), about, about, none, none, np.zeros(count, np.int64))
        nonces = np.arange(self.nonce, self.nonce + count, dtype=np.uint64)
        slots = self.table.take(probes, nonces, np.full(count, timeout))
        self.nonce += len(slots)
        self.nonces.update(zip(slots.tolist(), nonces.tolist(), strict=False))
        return slots

    def send(self, count: int, at: int = 0, **more: int) -> U32:
        slots = self.take(count, **more)
        self.table.sent(slots, np.full(len(slots), at))
        return slots

    def hear(
        self, *slots: int, rx: int = 100, kind: int = ECHO, how: int = FULL, target: int = 0, forged: int = 0
    ) -> None:
        count = len(slots)
        nonces = [0 if how != FULL else self.nonces.get(slot, 7) + forged for slot in slots]
        high, low = np.zeros(count, np.uint64), np.full(count, target, np.uint64)
        kinds, zero = np.full(count, kind, np.uint8), np.zeros(count, np.uint8)
        self.table.match(
            Replies(
                np.arange(count), kinds, kinds, zero, np.array(slots, np.uint32), np.full(count, how, np.uint8),
                np.array(nonces, np.uint64), high, low + np.uint64(500), high, low, np.full(count, 60, np.uint8),
                np.full(count, 1400, np.uint16), np.full(count, rx),
            ),
            self.targets,
        )  # fmt: skip

    def close(self, now: int = 200) -> list[str]:
        return words(self.table.close(now))

    def count(self, name: str, job: int = 0) -> int:
        return int(self.table.counts[name][job])


def words(closed: Closed) -> list[str]:
    return [STATES[state] for state in closed.state.tolist()]


def test_a_reply_is_handed_out_once_with_all_it_said() -> None:
    desk = Desk()
    (slot,) = desk.send(1, at=40).tolist()
    desk.hear(slot, rx=100)
    closed = desk.table.close(101)
    assert words(closed) == ["answered"]
    assert (closed.tx[0], closed.rtt[0], closed.hops[0], closed.mtu[0]) == (40, 60, 60, 1400)
    assert (closed.type[0], closed.source_low[0]) == (ECHO, 500)
    assert desk.close() == []


@pytest.mark.parametrize(
    ("kind", "state", "name"),
    [(ECHO, "answered", "answered"), (ERROR, "unreachable", "unreachable"), (EXCEEDED, "hop", "hops")],
)
def test_what_the_reply_was_is_what_the_probe_becomes(kind: int, state: str, name: str) -> None:
    desk = Desk()
    desk.hear(*desk.send(1).tolist(), kind=kind)
    assert desk.close() == [state]
    assert (desk.count(name), desk.count("in_flight"), desk.count("sent")) == (1, 0, 1)


def test_a_reply_that_is_drained_before_the_send_call_returns_waits_for_it() -> None:
    desk = Desk()
    slots = desk.take(1)
    desk.hear(*slots.tolist(), rx=90)
    assert desk.close(10_000) == []
    assert (desk.count("ahead"), desk.count("in_flight")) == (1, 0)
    desk.table.sent(slots, np.array([95]))
    closed = desk.table.close(10_001)
    assert words(closed) == ["answered"]
    assert closed.rtt[0] == -5, "as measured: stamps of sending are interpolated"


def test_of_several_replies_in_one_batch_the_first_is_the_answer() -> None:
    desk = Desk()
    one, two = desk.send(2).tolist()
    desk.hear(two, one, two, one, one)
    assert desk.close() == ["answered", "answered"]
    assert desk.count("duplicate") == 3


def test_a_duplicate_is_counted_before_and_after_the_row_is_handed_out() -> None:
    desk = Desk()
    (slot,) = desk.send(1).tolist()
    for _ in range(3):
        desk.hear(slot)
    desk.close()
    desk.hear(slot, kind=ERROR)
    assert desk.close(9999) == []
    assert (desk.count("answered"), desk.count("duplicate")) == (1, 3)


def test_lost_is_what_has_no_reply_when_its_time_is_over_and_not_before() -> None:
    desk = Desk()
    desk.send(3, at=0)
    assert desk.close(TIMEOUT) == []
    assert desk.close(TIMEOUT + 1) == ["lost"] * 3
    assert desk.close(TIMEOUT + 2) == []


def test_a_reply_after_that_amends_the_lost_row() -> None:
    desk = Desk()
    (slot,) = desk.send(1).tolist()
    assert desk.close(TIMEOUT + 1) == ["lost"]
    desk.hear(slot, rx=TIMEOUT + 500)
    closed = desk.table.close(TIMEOUT + 600)
    assert words(closed) == ["late"]
    assert closed.rtt[0] == TIMEOUT + 500
    assert (desk.count("lost"), desk.count("late"), desk.table.busy) == (0, 1, 0)
    desk.hear(slot)
    assert desk.count("duplicate") == 1


def test_what_came_too_late_is_late_however_seldom_rows_are_handed_out() -> None:
    desk = Desk()
    on_time, late = desk.send(2).tolist()
    desk.hear(on_time, rx=TIMEOUT)
    desk.hear(late, rx=TIMEOUT + 1)
    assert sorted(desk.close(50 * TIMEOUT)) == ["answered", "late", "lost"]
    assert (desk.count("answered"), desk.count("lost"), desk.count("late")) == (1, 0, 1)


def test_a_wrong_nonce_is_forged_and_leaves_the_probe_open() -> None:
    desk = Desk()
    (slot,) = desk.send(1).tolist()
    desk.hear(slot, forged=1)
    desk.hear(slot)
    assert desk.close() == ["answered"]
    assert (desk.count("forged"), desk.count("duplicate")) == (1, 0)


def test_a_reply_from_another_address_is_no_answer() -> None:
    """A target like a broadcast address is answered by others; each of them is counted."""
    desk = Desk()
    (slot,) = desk.send(1, target=3).tolist()
    for other in (4, 5, 6):
        desk.hear(slot, target=other)
    assert desk.close(TIMEOUT + 1) == ["lost"]
    assert desk.count("wrong_source") == 3


def test_slots_that_never_were_are_forged_for_nobody() -> None:
    desk = Desk(first=5000)
    desk.send(10)
    desk.hear(4999, 5010, 7, 2**32 - 1)
    assert desk.table.strays["forged"] == 4
    assert desk.count("forged") == 0


def test_a_reply_whose_cell_is_another_probes_by_now_is_stale() -> None:
    desk = Desk(size=CHUNK)
    (slot,) = desk.send(1).tolist()
    desk.close(TIMEOUT + 1)
    desk.send(CHUNK, at=TIMEOUT, job=1)
    desk.hear(slot)
    assert desk.table.strays["stale"] == 1
    assert desk.count("forged", job=1) == 0


def test_slots_go_on_from_the_highest_number_to_zero() -> None:
    desk = Desk(size=CHUNK, first=2**32 - 3)
    slots = desk.send(6).tolist()
    assert slots == [2**32 - 3, 2**32 - 2, 2**32 - 1, 0, 1, 2]
    desk.hear(*slots)
    assert desk.close() == ["answered"] * 6


def test_a_full_table_gives_fewer_and_goes_on_when_there_is_room() -> None:
    desk = Desk(size=CHUNK)
    slots = desk.send(CHUNK + 5)
    assert len(slots) == CHUNK == desk.table.busy
    assert len(desk.take(1)) == 0
    desk.hear(*slots[:10].tolist())
    assert len(desk.take(100)) == 0, "handed out first"
    desk.close()
    assert len(desk.take(100)) == 10


def test_one_that_waits_long_does_not_block_those_behind_it() -> None:
    desk = Desk(size=CHUNK)
    patient = desk.send(1, timeout=10**12).tolist()
    for turn in range(5):
        slots = desk.send(CHUNK - 1, at=turn * 10 * TIMEOUT)
        assert len(slots) == CHUNK - 1
        assert len(desk.close((turn + 1) * 10 * TIMEOUT)) == CHUNK - 1
    desk.hear(*patient)
    assert desk.close() == ["answered"]


def test_eight_quoted_bytes_find_their_probe_by_slot_and_target() -> None:
    desk = Desk(size=1 << 17, first=7 << 16)
    slots = desk.send(3, target=5).tolist()
    desk.hear(slots[1], how=NAMED, kind=EXCEEDED, target=5)
    assert desk.close() == ["hop"]
    desk.hear(slots[2], how=NAMED, kind=EXCEEDED, target=6)
    assert desk.close() == []
    assert desk.table.strays["forged"] == 1


@pytest.mark.parametrize("how", [NAMED, LOW])
def test_half_a_slot_finds_the_youngest_probe_to_that_target_under_way(how: int) -> None:
    """The kernel may write an IPv4 id of its own; IPv6 has none."""
    desk = Desk(size=1 << 18, first=0)
    old, wanted, other = (int(desk.send(1, target=target)[0]) for target in (5, 5, 6))
    desk.send(0x10000 - 3)
    again, young, third = (int(desk.send(1, target=target)[0]) for target in (5, 5, 5))
    assert (again, young, third) == (old + 0x10000, wanted + 0x10000, other + 0x10000)
    half = 0xABCD0000 if how == NAMED else 0
    desk.hear(half | young & 0xFFFF, half | other & 0xFFFF, how=how, kind=EXCEEDED, target=5)
    desk.hear(half | other & 0xFFFF, how=how, kind=EXCEEDED, target=6)
    assert desk.close() == ["hop"] * 3
    for slot, duplicates in ((wanted, 0), (old, 0), (again, 0), (young, 1), (third, 2), (other, 3)):
        desk.hear(slot, target=6 if slot == other else 5)
        assert desk.count("duplicate") == duplicates, "which of them had an answer already"


def test_one_under_way_goes_before_a_younger_one_that_is_lost() -> None:
    desk = Desk(size=1 << 17)
    patient = desk.send(1, timeout=10**9, target=5)
    desk.send(0xFFFF)
    desk.send(1, target=5)
    assert len(desk.close(TIMEOUT + 1)) == 0x10000
    desk.hear(int(patient[0]), how=LOW, kind=EXCEEDED, target=5)
    assert desk.close(TIMEOUT + 2) == ["hop"]


def test_each_is_lost_at_its_own_time() -> None:
    desk = Desk()
    desk.send(1, timeout=30)
    desk.send(1, timeout=10)
    desk.send(1, timeout=20)
    assert [desk.close(now) for now in (10, 11, 21, 31)] == [[], ["lost"], ["lost"], ["lost"]]


def test_what_was_not_sent_is_a_row_of_its_own() -> None:
    desk = Desk()
    slots = desk.take(3)
    desk.table.sent(slots[:1], np.array([5]))
    desk.table.unsent(slots[1:])
    closed = desk.table.close(77)
    assert words(closed) == ["unsent", "unsent"]
    assert closed.tx.tolist() == [77, 77]
    assert (desk.count("sent"), desk.count("unsent"), desk.count("ahead"), desk.table.busy) == (1, 2, 0, 1)


def test_a_reply_to_what_the_system_says_it_did_not_send_is_a_duplicate() -> None:
    desk = Desk()
    slots = desk.take(1)
    desk.hear(*slots.tolist())
    desk.table.unsent(slots)
    desk.hear(*slots.tolist())
    assert desk.close() == ["unsent"]
    assert desk.count("duplicate") == 2


def test_a_forgotten_job_leaves_nothing_to_the_next_in_its_row() -> None:
    desk = Desk()
    ahead, lost, answered = desk.take(2), desk.send(3), desk.send(4)
    desk.close(TIMEOUT + 1)
    fresh = desk.send(5, at=TIMEOUT)
    desk.hear(*fresh[:2].tolist())
    desk.table.unsent(desk.take(1))
    last = desk.table.forget(0)
    assert last["sent"] == 12 == last["lost"]
    assert (last["unsent"], last["ahead"], last["in_flight"]) == (3, 0, 0)
    assert desk.table.busy == 0
    desk.send(1, at=TIMEOUT)
    desk.table.sent(ahead, np.array([1, 1]))
    desk.hear(*lost.tolist(), *answered.tolist())
    assert desk.close(TIMEOUT) == []
    assert (desk.count("sent"), desk.count("in_flight"), desk.count("late")) == (1, 1, 0)
    assert desk.table.strays["stale"] == 7


def test_frames_of_a_forgotten_job_that_go_out_among_others_are_left_out() -> None:
    desk = Desk(size=4)
    gone = desk.take(3, job=1)
    desk.table.forget(1)
    mine = desk.take(4, job=2)
    desk.table.sent(np.concatenate([gone, mine]), np.arange(7) * 10)
    desk.hear(*mine.tolist())
    closed = desk.table.close(100)
    assert closed.tx.tolist() == [30, 40, 50, 60]
    assert desk.count("sent", job=2) == 4


def test_a_job_is_forgotten_wherever_in_the_table_it_is() -> None:
    desk = Desk(size=CHUNK, first=CHUNK - 10)
    desk.send(5, job=1)
    mine = desk.send(30, job=2)
    others = desk.send(40, job=1)
    assert desk.table.forget(2)["sent"] == 30
    assert desk.table.busy == 45
    desk.hear(*mine.tolist(), *others.tolist())
    assert desk.close() == ["answered"] * 40
    desk.send(2 * CHUNK, job=3)
    assert desk.table.forget(3)["sent"] == CHUNK - 5
    assert desk.table.busy == 5


def test_jobs_are_counted_apart_however_many_there_are() -> None:
    desk = Desk()
    for job in (0, 3, 64, 5000):
        desk.hear(*desk.send(job % 7 + 1, job=job).tolist())
    desk.close()
    assert [desk.count("answered", job) for job in (0, 1, 3, 64, 5000)] == [1, 0, 4, 2, 3]
    assert not any(desk.table.forget(60_000).values())


def test_strays_of_the_decoder_are_added_up() -> None:
    desk = Desk()
    for _ in range(2):
        replies = none()
        replies.foreign, replies.truncated, replies.bad_checksum, replies.odd = 1, 2, 3, 4
        desk.table.match(replies, desk.targets)
    assert desk.table.strays == {"foreign": 2, "truncated": 4, "bad_checksum": 6, "odd": 8, "forged": 0, "stale": 0}


@pytest.mark.parametrize("size", [0, -4, 3, 1000, 1 << 31])
def test_a_size_that_is_no_power_of_two_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="power of two"):
        Table(size)


def test_after_a_long_sleep_the_whole_table_is_lost_at_once() -> None:
    desk = Desk(size=1 << 19)
    for turn in range(512):
        desk.send(1024, at=turn)
    assert desk.close(TIMEOUT) == []
    assert len(desk.close(10**9)) == 1 << 19
    assert (desk.count("lost"), desk.table.busy) == (1 << 19, 0)
