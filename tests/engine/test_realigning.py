"""Jobs that follow the wall clock do so after it was stepped, too."""

from collections.abc import Iterator
from ipaddress import ip_address

import numpy as np
import pytest

from amon.engine.messages import Spec
from tests.engine.staged import MS, SECOND, Stage, check

COUNT = 100
HOSTS = [f"192.0.2.{host}" for host in range(1, COUNT + 1)]


@pytest.fixture
def stage() -> Iterator[Stage]:
    one = Stage()
    yield one
    one.close()


def phases(stage: Stage, since: int) -> dict[str, int]:
    """By target: when in a second of the wall clock it was probed last."""
    return {
        str(ip_address(packet[16:20])): (when + stage.apart) % SECOND for when, packet in stage.network.sent[since:]
    }


def off(before: dict[str, int], after: dict[str, int]) -> int:
    assert before.keys() == after.keys()
    apart = [abs(before[host] - after[host]) for host in before]
    return max(min(one, SECOND - one) for one in apart)


@pytest.mark.parametrize("step", [0.3, -0.3, 7.25, -3600.5, 1.7e9 + 0.6, 0.06])
def test_after_a_step_targets_are_probed_where_the_wall_clock_says_without_a_burst(stage: Stage, step: float) -> None:
    client = stage.client()
    client.begin(Spec(interval=1.0, aligned=True), *HOSTS)
    stage.go_on(2)
    before, begin = phases(stage, 0), stage.now
    stage.apart += round(step * SECOND)
    stage.go_on(1)
    settled = len(stage.network.sent)
    stage.go_on(1.1)
    assert off(before, phases(stage, settled)) <= 2 * MS
    times = np.array([when for when, _ in stage.network.sent if when >= begin])
    most = int((np.searchsorted(times, times + 100 * MS, "right") - np.arange(len(times))).max())
    assert most <= 12
    tally = client.end()
    check(tally)
    passed = COUNT * (step % 1) if step > 0 else 0
    assert abs(tally.skipped - passed) <= 2


def test_a_slewed_clock_moves_nothing(stage: Stage) -> None:
    client = stage.client()
    client.begin(Spec(interval=1.0, aligned=True), *HOSTS)
    stage.go_on(1)
    begin = len(stage.network.sent)
    for _ in range(300):  # 0.05 ms in 0.1 s is as fast as Linux slews
        stage.apart += MS // 20
        stage.go_on(0.1, 5 * MS)
    stage.apart += 40 * MS
    stage.go_on(1)
    gaps = np.diff([when for when, _ in stage.network.sent[begin:]])
    assert gaps.max() <= 20 * MS
    assert client.end().skipped == 0


def test_small_steps_count_together(stage: Stage) -> None:
    client = stage.client()
    client.begin(Spec(interval=1.0, aligned=True), *HOSTS)
    stage.go_on(2)
    before = phases(stage, 0)
    for _ in range(3):
        stage.apart += 20 * MS
        stage.go_on(0.3)
    settled = len(stage.network.sent)
    stage.go_on(1.1)
    assert off(before, phases(stage, settled)) <= 2 * MS
    assert abs(client.end().skipped - 6) <= 2


@pytest.mark.parametrize("step", [0.3, -0.3, 7.25])
def test_a_job_with_an_end_waits_until_the_clock_is_there_and_passes_over_nothing(stage: Stage, step: float) -> None:
    client = stage.client()
    stage.apart = 1_700_000_000 * SECOND - stage.now % SECOND
    client.begin(Spec(interval=1.0, aligned=True, rounds=6), *HOSTS)
    stage.go_on(2)
    before = phases(stage, 0)
    stage.apart += round(step * SECOND)
    stage.go_on(1.2)
    settled = len(stage.network.sent)
    stage.go_on(1.1)
    assert off(before, phases(stage, settled)) <= 2 * MS
    stage.go_on(4)
    tally = client.end()
    check(tally)
    assert tally.skipped == 0
    assert len({(row["target"], row["number"]) for row in client.rows()}) == tally.answered == tally.scheduled


def test_what_follows_no_clock_does_not_notice(stage: Stage) -> None:
    client = stage.client()
    client.begin(Spec(interval=1.0), *HOSTS)
    stage.go_on(1)
    stage.apart += 7 * SECOND // 3
    stage.go_on(2)
    gaps = np.diff([when for when, _ in stage.network.sent])
    assert gaps.max() <= 12 * MS
    assert client.end().skipped == 0
