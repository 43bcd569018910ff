"""A job with an end, while what may be probed changes: it goes on where it was, and asks nobody twice."""

from collections import Counter
from collections.abc import Iterator

import pytest

from amon.engine.messages import Ended, Refused, Spec, Taken
from amon.engine.rules.caps import TenantCap
from amon.engine.rules.guard import Lists
from amon.engine.turn.jobs import LATECOMER
from amon.engine.turn.loop import Rules
from tests.engine.mirror import exceeded
from tests.engine.staged import LIMITS, MS, Peer, Stage, check

HOSTS = [f"192.0.2.{host}" for host in range(100)]
FIRST_HALF, SECOND_HALF = "192.0.2.0/26", "192.0.2.64/26"


@pytest.fixture
def stage() -> Iterator[Stage]:
    one = Stage()
    yield one
    one.close()


def reload(stage: Stage, *deny: str, allow: str = "0.0.0.0/0") -> None:
    stage.loop.reload(Rules(LIMITS, {"t": TenantCap(LIMITS)}, {"t": Lists(allow=(allow,))}, deny))
    stage.go_on(0.1)


def probing(stage: Stage, rounds: int, seconds: float) -> Peer:
    """Whoever began so many rounds of all hosts, after so long."""
    client = stage.client()
    client.begin(Spec(interval=1.0, rounds=rounds), *HOSTS)
    stage.go_on(seconds)
    return client


def numbers(client: Peer, job: int = 1) -> dict[int, list[int]]:
    """By target: the visits it was asked in, once for each packet."""
    found: dict[int, list[int]] = {}
    for row in client.rows(job):
        found.setdefault(row["target"], []).append(row["number"])
    return {target: sorted(each) for target, each in found.items()}


def test_rounds_go_on_where_they_were_with_the_targets_that_may_still_be_probed(stage: Stage) -> None:
    client = probing(stage, 4, 1.5)
    reload(stage, SECOND_HALF)
    stage.go_on(5)
    found = numbers(client)
    assert all(found[target] == [0, 1, 2, 3] for target in range(64))
    assert all(found[target] in ([0], [0, 1]) for target in range(64, 100))
    (ended,) = [one for one in client.heard if isinstance(one, Ended)]
    check(ended.tally)
    assert ended.tally.answered == ended.tally.scheduled == sum(map(len, found.values()))
    first, second = [one for one in client.heard if isinstance(one, Taken)]
    assert (second.targets, second.edition) == (64, first.edition)
    assert first.rate == 100
    assert second.rate == pytest.approx(64)
    assert [denied.count for denied in second.denied] == [36]


def test_what_goes_on_goes_on_at_its_time(stage: Stage) -> None:
    begin = stage.now
    probing(stage, 4, 1.5)
    reload(stage, SECOND_HALF)
    stage.go_on(5)
    sent: dict[bytes, list[int]] = {}
    for when, packet in stage.network.sent:
        sent.setdefault(packet[16:20], []).append(when - begin)
    for times in sent.values():
        assert all(abs(when - times[0] - place * 1000 * MS) <= 2 * MS for place, when in enumerate(times))


def test_a_target_that_may_be_probed_again_is_in_the_rounds_that_are_left(stage: Stage) -> None:
    client = probing(stage, 5, 1.5)
    reload(stage, SECOND_HALF)
    stage.go_on(1.0)
    reload(stage)
    stage.go_on(5)
    found = numbers(client)
    assert all(found[target] == [0, 1, 2, 3, 4] for target in range(64))
    assert all(len(found[target]) == len(set(found[target])) in (3, 4) for target in range(64, 100))
    check(client.end())


def test_who_may_be_probed_only_now_is_told_not_to_be_in_the_rounds(stage: Stage) -> None:
    reload(stage, allow=FIRST_HALF)
    client = probing(stage, 3, 1.5)
    reload(stage)
    stage.go_on(3)
    assert numbers(client) == {target: [0, 1, 2] for target in range(64)}
    taken = [one for one in client.heard if isinstance(one, Taken)][-1]
    assert taken.targets == 64
    (denied,) = taken.denied
    assert (denied.text, denied.rows) == (LATECOMER, tuple(range(64, 100)))
    check(client.end())


def test_where_none_of_them_may_be_probed_any_more_those_begin_that_may_now(stage: Stage) -> None:
    reload(stage, allow=FIRST_HALF)
    client = probing(stage, 2, 0.5)
    reload(stage, FIRST_HALF)
    stage.go_on(3)
    found = numbers(client)
    assert all(found[target] == [0] for target in range(64) if target in found)
    assert all(found[target] == [0, 1] for target in range(64, 100))
    assert not [one for one in client.heard if isinstance(one, Refused)]
    check(client.end())


def test_bursts_jitter_and_traces_go_on_too(stage: Stage) -> None:
    stage.network.answer = lambda packet: [(MS, exceeded(packet, "198.51.100.1"))]
    client = stage.client()
    specs = (
        Spec(interval=1.0, rounds=3, burst=3, gap=0.4),
        Spec(interval=1.0, rounds=3, jitter=0.5),
        Spec(interval=1.0, rounds=3, ttl=1, last_ttl=4, flows=2),
    )
    for job, spec in enumerate(specs):
        client.begin(spec, *HOSTS, job=job)
    stage.go_on(1.5)
    reload(stage, SECOND_HALF)
    before = len(stage.network.sent)
    stage.go_on(6)
    for job, packets in ((0, 9), (1, 3), (2, 24)):
        rows = client.rows(job)
        each = Counter((row["target"], row["number"], row["ttl"], row["flow"]) for row in rows)
        assert set(each.values()) == {1}
        whole = Counter(row["target"] for row in rows)
        assert all(whole[target] == packets for target in range(64))
        assert all(whole[target] < packets for target in range(64, 100))
        check(client.end(job))
    assert {packet[19] for _, packet in stage.network.sent[before:]} == set(range(64))


def test_a_job_without_an_end_takes_all_in_that_may_be_probed_now(stage: Stage) -> None:
    client = stage.client()
    reload(stage, allow=FIRST_HALF)
    client.begin(Spec(interval=0.5), *HOSTS)
    stage.go_on(1)
    reload(stage)
    stage.go_on(1)
    taken = [one for one in client.heard if isinstance(one, Taken)][-1]
    assert (taken.targets, taken.denied, taken.edition) == (100, (), 1)
    check(client.end())
