"""The whole engine but the network: desk, guard, caps, table, crafting, decoding are real; time and packets ours."""

from collections import Counter
from collections.abc import Iterator
from ipaddress import ip_address

import numpy as np
import pytest

from amon.engine.messages import (
    STATES,
    Ask,
    Begin,
    End,
    Ended,
    Limits,
    Pause,
    Ready,
    Refused,
    Resume,
    Sample,
    Spec,
    State,
    Taken,
    Targets,
    Welcome,
)  # fmt: skip
from amon.engine.rules.caps import TenantCap
from amon.engine.rules.guard import Lists
from amon.engine.turn.loop import GATE_BURST, Rules
from tests.engine.mirror import echo, exceeded, nothing, reply
from tests.engine.staged import LIMITS, MS, OPEN, SECOND, Stage, check, packed


@pytest.fixture
def stage() -> Iterator[Stage]:
    one = Stage()
    yield one
    one.close()


def test_every_probe_is_sent_answered_and_handed_over_once(stage: Stage) -> None:
    client = stage.client()
    client.begin(Spec(interval=0.5, rounds=4), "192.0.2.10", "2001:db8::10", "192.0.2.11")
    stage.go_on(3)
    tally = client.end()
    check(tally)
    assert tally.answered == tally.scheduled == len(stage.network.sent) == 12
    rows = client.rows()
    assert Counter((row["target"], row["number"]) for row in rows) == Counter(
        (target, number) for target in range(3) for number in range(4)
    )
    assert {row["rtt"] for row in rows} == {MS}
    assert {row["hops"] for row in rows} == {64}
    assert [batch.seq for batch in client.batches()] == list(range(len(client.batches())))
    assert isinstance(client.heard[0], Welcome)
    assert client.heard[0].ways == {"routed": "mirror"}


def test_packets_go_out_at_equal_distances_and_not_before_their_time(stage: Stage) -> None:
    client = stage.client()
    client.begin(Spec(interval=1.0, rounds=2), *(f"192.0.2.{host}" for host in range(1, 101)))
    begin = stage.now
    stage.go_on(3)
    times = np.array([when for when, _ in stage.network.sent]) - begin
    assert len(times) == 200
    assert (np.abs(np.diff(times) - 10 * MS) <= MS).all()
    check(client.end())


def test_what_gets_no_answer_is_lost_after_its_timeout_and_what_comes_then_is_late(stage: Stage) -> None:
    stage.network.answer = lambda packet: [(700 * MS, reply(packet))]
    client = stage.client()
    client.begin(Spec(interval=0.2, rounds=5, timeout=0.5), "192.0.2.10")
    stage.go_on(3)
    # The last one's answer comes after the job has ended with it.
    assert client.states() == {"lost": 5, "late": 4}
    assert {row["rtt"] for row in client.rows() if STATES[row["state"]] == "late"} == {700 * MS}
    states = [one for one in client.heard if isinstance(one, Ended | State)]
    tally = states[-1].tally
    check(tally)
    assert (tally.late, tally.lost, tally.answered) == (4, 1, 0)


def test_silence_is_loss_and_double_answers_are_counted(stage: Stage) -> None:
    silent = packed("192.0.2.20")[-4:]

    def answer(packet: bytes) -> list[tuple[int, bytes]]:
        return [] if packet[16:20] == silent else [*echo(packet), *echo(packet)]

    stage.network.answer = answer
    client = stage.client()
    client.begin(Spec(interval=0.1, rounds=10, timeout=0.3), "192.0.2.20", "192.0.2.21")
    stage.go_on(2)
    tally = client.end()
    check(tally)
    assert (tally.lost, tally.answered, tally.duplicate) == (10, 10, 10)
    assert {row["target"] for row in client.rows() if STATES[row["state"]] == "lost"} == {0}


def test_a_trace_names_each_hop_and_stops_at_the_target(stage: Stage) -> None:
    def answer(packet: bytes) -> list[tuple[int, bytes]]:
        v4 = packet[0] >> 4 == 4
        ttl = packet[8] if v4 else packet[7]
        if ttl >= 4:
            return echo(packet)
        return [(ttl * MS, exceeded(packet, f"198.51.100.{ttl}" if v4 else f"2001:db8:1::{ttl}"))]

    stage.network.answer = answer
    client = stage.client()
    client.begin(Spec(interval=1.0, rounds=3, ttl=1, last_ttl=10), "192.0.2.30", "2001:db8::30")
    stage.go_on(4)
    tally = client.end()
    check(tally)
    # A round is spread over its second, so the target's answer comes before its next TTL is due; one may be crafted
    # already.
    assert tally.hops == 2 * 3 * 3
    assert 2 * 3 <= tally.answered <= 2 * 3 + 2
    seen = set()
    for batch in client.batches():
        addresses = [batch.sources[at : at + 16] for at in range(0, len(batch.sources), 16)]
        columns = {name: batch.column(name).tolist() for name in ("target", "ttl", "source", "state")}
        columns = {name: column * batch.rows if len(column) == 1 else column for name, column in columns.items()}
        for target, ttl, source, state in zip(*columns.values(), strict=True):
            if STATES[state] == "hop":
                seen.add((target, ttl, addresses[source]))
    wanted = {(0, ttl, packed(f"198.51.100.{ttl}")) for ttl in (1, 2, 3)}
    assert seen == wanted | {(1, ttl, packed(f"2001:db8:1::{ttl}")) for ttl in (1, 2, 3)}


def test_nobody_is_probed_whom_the_tenant_may_not(stage: Stage) -> None:
    stage = stage.another(lists=Lists(allow=("192.0.2.0/24", "2001:db8::/32"), deny=("192.0.2.128/25",)))
    client = stage.client()
    client.begin(Spec(interval=0.1, rounds=2), "192.0.2.1", "192.0.2.200", "203.0.113.1", "2001:db8::1", "224.0.0.1")
    (taken,) = [one for one in client.heard if isinstance(one, Taken)]
    assert taken.targets == 2
    assert sorted(row for denied in taken.denied for row in denied.rows) == [1, 2, 4]
    assert all(denied.text for denied in taken.denied)
    stage.go_on(1)
    assert {row["target"] for row in client.rows()} == {0, 3}
    assert len(stage.network.sent) == 4
    client.begin(Spec(rounds=1), "203.0.113.1", job=2)
    refused = [one for one in client.heard if isinstance(one, Refused)]
    assert [one.job for one in refused] == [2]
    assert "none of the targets" in refused[0].text


def test_a_job_that_asks_for_more_than_the_tenant_may_is_refused_with_what_to_do(stage: Stage) -> None:
    client = stage.client()
    client.begin(Spec(interval=0.001), *(f"192.0.2.{host}" for host in range(1, 101)))
    (refused,) = [one for one in client.heard if isinstance(one, Refused)]
    assert "100,000 packets/s" in refused.text
    assert "10,000" in refused.text
    assert "next:" in refused.text
    stage.go_on(0.2)
    assert not stage.network.sent


def test_jobs_that_together_want_too_much_share_the_cap_and_never_exceed_it(stage: Stage) -> None:
    stage = stage.another(Limits(rate=1000, bytes=10e6, in_flight=4096))
    one, two = stage.client(), stage.client()
    hosts = [f"192.0.2.{host}" for host in range(1, 101)]
    for client in (one, two):
        client.begin(Spec(interval=0.125), *hosts)
    begin = stage.now
    stage.go_on(5)
    tallies = [client.end() for client in (one, two)]
    for tally in tallies:
        check(tally)
        assert tally.skipped > 0
        assert tally.sent > 2000
    times = np.array([when for when, _ in stage.network.sent]) - begin
    for window in (10 * MS, 100 * MS, SECOND):
        most = int((np.searchsorted(times, times + window, "right") - np.arange(len(times))).max())
        assert most <= 1000 * window / SECOND + 1000 * GATE_BURST + 1


def test_a_burst_of_one_tenant_does_not_make_another_wait(stage: Stage) -> None:
    stage = stage.another(Limits(rate=1000, bytes=10e6, in_flight=4096))
    one, other = stage.client(), stage.client("other")
    other.begin(Spec(interval=0.05), "192.0.2.2")
    stage.go_on(0.5)
    one.begin(Spec(interval=0.5, burst=200), "192.0.2.1")
    begin = len(stage.network.sent)
    stage.go_on(2)
    quiet = packed("192.0.2.2")[-4:]
    times = [when for when, packet in stage.network.sent[begin:] if packet[16:20] == quiet]
    assert len(times) >= 38
    assert max(np.diff(times)) < 80 * MS
    for client in (one, other):
        tally = client.end()
        check(tally)
        assert tally.skipped == 0


def test_what_is_urgent_goes_before_what_is_not(stage: Stage) -> None:
    stage = stage.another(Limits(rate=1000, bytes=10e6, in_flight=4096))
    client = stage.client()
    hosts = [f"192.0.2.{host}" for host in range(1, 101)]
    client.begin(Spec(interval=0.1, priority=2), *hosts)
    client.begin(Spec(interval=0.2, rounds=5, priority=0), *hosts, job=2)
    stage.go_on(2)
    urgent = client.end(2)
    check(urgent)
    assert urgent.answered == 500
    assert client.end(1).skipped > 0


def test_after_a_sleep_there_is_no_burst_and_what_was_missed_is_counted(stage: Stage) -> None:
    client = stage.client()
    client.begin(Spec(interval=1.0), *(f"192.0.2.{host}" for host in range(1, 101)))
    stage.go_on(1)
    stage.now += 10 * SECOND  # SIGSTOP, or a virtual machine that was moved
    before = len(stage.network.sent)
    stage.turn()
    stage.turn(MS)
    assert len(stage.network.sent) - before <= 30
    stage.go_on(1)
    tally = client.end()
    check(tally)
    assert 900 < tally.skipped <= 1000
    assert tally.scheduled == 1200 or abs(tally.scheduled - 1200) < 10


def test_a_job_with_an_end_loses_nothing_by_a_sleep_it_slips(stage: Stage) -> None:
    client = stage.client()
    client.begin(Spec(interval=1.0, rounds=3), *(f"192.0.2.{host}" for host in range(1, 101)))
    stage.go_on(1)
    stage.now += 10 * SECOND
    stage.go_on(3)
    tally = client.end()
    check(tally)
    assert (tally.answered, tally.skipped) == (300, 0)


def test_a_pause_is_a_pause_and_nothing_bursts_behind_it(stage: Stage) -> None:
    client = stage.client()
    client.begin(Spec(interval=0.1), *(f"192.0.2.{host}" for host in range(1, 11)))
    stage.go_on(0.5)
    client.say(Pause(1))
    stage.go_on(0.1)
    before = len(stage.network.sent)
    stage.go_on(2)
    assert len(stage.network.sent) == before
    client.say(Resume(1))
    stage.go_on(0.01)
    assert len(stage.network.sent) - before < 5
    stage.go_on(1)
    tally = client.end()
    check(tally)
    assert 195 <= tally.skipped <= 215
    assert any(isinstance(one, State) and one.paused for one in client.heard)


def test_who_does_not_read_is_held_back_and_the_others_go_on(stage: Stage) -> None:
    slow, quick = stage.client(), stage.client()
    hosts = [f"192.0.2.{host}" for host in range(1, 251)]
    slow.begin(Spec(interval=0.1, timeout=1.0, priority=0), *hosts)
    quick.begin(Spec(interval=0.1), *hosts[:10])
    slow.reads = False
    stage.go_on(8, 2 * MS)
    before = len(stage.network.sent)
    stage.go_on(1)
    assert len(stage.network.sent) - before < 150  # the other's hundred only
    queued = stage.desk.queued
    slow.reads = True
    stage.go_on(1)
    assert 64 * 1024 < queued < 128 * 1024
    tally = slow.end()
    check(tally)
    assert sum(slow.states().values()) == tally.sent
    assert tally.skipped > 0
    done = quick.end()
    check(done)
    assert done.skipped == 0


def test_the_list_changes_without_a_stop_and_results_say_of_which_they_are(stage: Stage) -> None:
    stage.network.answer = lambda packet: [(150 * MS, reply(packet))]
    client = stage.client()
    client.begin(Spec(interval=0.1), "192.0.2.1", "192.0.2.2")
    stage.go_on(1)
    client.begin(Spec(interval=0.1), "192.0.2.2", "192.0.2.3", "192.0.2.4")
    stage.go_on(1)
    tally = client.end()
    check(tally)
    assert tally.lost == 0
    names = {0: ("192.0.2.1", "192.0.2.2"), 1: ("192.0.2.2", "192.0.2.3", "192.0.2.4")}
    counted: Counter[str] = Counter()
    for batch in client.batches():
        column = batch.column("target").tolist()
        for target in column * batch.rows if len(column) == 1 else column:
            counted[names[batch.edition][target]] += 1
    sent = Counter(str(ip_address(packet[16:20])) for _, packet in stage.network.sent)
    assert counted == sent
    assert sent["192.0.2.2"] >= 19


def test_a_client_that_goes_takes_its_jobs_along(stage: Stage) -> None:
    client = stage.client()
    client.begin(Spec(interval=0.1), "192.0.2.1")
    stage.go_on(0.5)
    client.socket.close()
    stage.clients.remove(client)
    stage.go_on(0.2)
    before = len(stage.network.sent)
    stage.go_on(3)
    assert len(stage.network.sent) == before
    assert stage.loop.sample(stage.now).jobs == 0
    assert stage.loop.sample(stage.now).in_flight == 0


def test_a_network_that_takes_nothing_makes_probes_unsent_and_never_lost(stage: Stage) -> None:
    stage.network.down = True
    client = stage.client()
    client.begin(Spec(interval=0.1, rounds=5), "192.0.2.1", "2001:db8::1")
    stage.go_on(1)
    tally = client.end()
    check(tally)
    assert (tally.unsent, tally.sent, tally.lost) == (10, 0, 0)
    assert client.states() == {"unsent": 10}
    assert {row["sent"] for row in client.rows()} == {0}
    assert "routed: not sent: the network is down" in stage.samples[-1].notes


def test_a_way_that_is_full_makes_probes_wait_and_none_is_lost(stage: Stage) -> None:
    stage.network.takes = 3
    client = stage.client()
    client.begin(Spec(interval=1.0, rounds=1, burst=40), *(f"192.0.2.{host}" for host in range(1, 11)))
    stage.go_on(2)
    tally = client.end()
    check(tally)
    assert tally.answered == 400


def test_targets_without_a_usable_hop_are_unsent_until_there_is_one(stage: Stage) -> None:
    stage.ground.hops.usable[1] = False
    stage.ground.hops.version += 1
    client = stage.client()
    client.begin(Spec(interval=0.5), "192.0.2.1", "2001:db8::1")
    stage.go_on(3)
    assert client.states()["unsent"] >= 3
    stage.ground.hops.usable[1] = True
    stage.ground.hops.version += 1
    stage.ground.changed = True
    stage.go_on(3)
    tally = client.end()
    check(tally)
    answered = {row["target"] for row in client.rows()[-4:] if STATES[row["state"]] == "answered"}
    assert answered == {0, 1}


def test_the_sample_tells_what_the_engine_does_and_clients_get_it(stage: Stage) -> None:
    client = stage.client()
    client.begin(Spec(interval=0.1), "192.0.2.1")
    stage.go_on(5)
    samples = [one for one in client.heard if isinstance(one, Sample)]
    assert len(samples) >= 4
    assert [round(one.sent / one.span) for one in samples[1:4]] == [10, 10, 10]
    assert samples[-1].jobs == samples[-1].targets == 1
    assert samples[-1].memory > 1 << 20
    assert samples == stage.samples
    client.say(Ask())
    stage.go_on(0.1)
    assert len([one for one in client.heard if isinstance(one, Sample)]) == len(samples) + 1


def test_orders_about_jobs_that_are_not_there_are_answered(stage: Stage) -> None:
    client = stage.client()
    for order in (Pause(9), Resume(9), End(9), Ready(9), Targets(9, packed("192.0.2.1"))):
        client.say(order)
    client.say(Begin(3, Spec()))
    client.say(Ready(3))
    client.say(Begin(4, Spec()))
    client.say(Targets(4, b"12345"))
    stage.go_on(0.1)
    texts = [one.text for one in client.heard if isinstance(one, Refused)]
    assert [text.startswith("there is no job 9") for text in texts] == [True] * 5 + [False] * 2
    assert texts[5:] == ["a job needs at least one target", "an address is 16 bytes"]
    stage.go_on(0.1)
    assert stage.loop.sample(stage.now).jobs == 0


def test_a_reload_that_denies_more_is_in_force_at_once(stage: Stage) -> None:
    client = stage.client()
    client.begin(Spec(interval=0.1), "192.0.2.1", "192.0.2.2")
    stage.go_on(0.5)
    stage.loop.reload(Rules(LIMITS, {"t": TenantCap(LIMITS)}, {"t": OPEN}, deny=("192.0.2.2/32",)))
    stage.go_on(0.2)
    before = len(stage.network.sent)
    stage.go_on(1)
    later = {str(ip_address(packet[16:20])) for _, packet in stage.network.sent[before:]}
    assert later == {"192.0.2.1"}
    check(client.end())


def test_nothing_answers_and_nothing_is_kept(stage: Stage) -> None:
    stage.network.answer = nothing
    client = stage.client()
    client.begin(Spec(interval=0.01, timeout=0.1), "192.0.2.1")
    stage.go_on(2)
    tally = client.end()
    check(tally)
    assert tally.lost == tally.sent >= 199
    assert stage.loop.sample(stage.now).in_flight == 0
