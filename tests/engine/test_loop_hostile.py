"""What a client may say, however odd, ends no engine and costs nobody else anything."""

import os
from collections import Counter
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from socket import send_fds

import pytest

from amon.engine.desk.server import Account
from amon.engine.messages import (
    Ask,
    Begin,
    Capture,
    Captured,
    End,
    EndCapture,
    Ended,
    Limits,
    Pause,
    Ready,
    Refused,
    Sample,
    Spec,
    Taken,
    Targets,
    encode,
)  # fmt: skip
from amon.engine.rules.caps import TenantCap
from amon.engine.turn.captures import CAPTURES_MOST
from amon.engine.turn.loop import Rules
from amon.engine.turn.orders import JOBS_MOST
from tests.engine.mirror import nothing
from tests.engine.staged import LIMITS, MS, OPEN, Later, Peer, Stage, check, packed


@pytest.fixture
def stage() -> Iterator[Stage]:
    one = Stage()
    yield one
    one.close()


def test_a_trace_goes_on_where_the_first_targets_of_its_list_are_denied(stage: Stage) -> None:
    client = stage.client()
    client.begin(Spec(interval=0.1, rounds=3, last_ttl=65), "127.0.0.1", "224.0.0.1", "192.0.2.1")
    stage.go_on(3)
    check(client.end())
    assert {row["target"] for row in client.rows()} == {2}


def test_more_jobs_than_were_ever_probed_are_told_of(stage: Stage) -> None:
    client = stage.client()
    for job in range(70):
        client.begin(Spec(interval=3600), "192.0.2.1", job=job)
        client.say(Pause(job))
    stage.go_on(2)
    assert stage.loop.sample(stage.now).jobs == 70


@pytest.mark.parametrize("rate", [5e-324, 1e-300, 1e-12])
def test_a_rate_at_which_no_round_ever_ends_is_refused(stage: Stage, rate: float) -> None:
    client = stage.client()
    client.begin(Spec(rate=rate), "192.0.2.1")
    stage.go_on(0.2)
    (refused,) = [one for one in client.heard if isinstance(one, Refused)]
    assert refused.text.endswith("a round would take more than 366 days; next: a larger rate")
    assert any(isinstance(one, Ended) for one in client.heard)


def test_a_job_of_more_packets_than_can_be_counted_begins_and_ends(stage: Stage) -> None:
    client = stage.client()
    hosts = [f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}" for number in range(80_000)]
    client.begin(Spec(rounds=2**31, ttl=1, last_ttl=255, flows=256, rate=200.0), *hosts)
    stage.go_on(0.5)
    assert any(isinstance(one, Taken) for one in client.heard)
    check(client.end())


@pytest.mark.parametrize("place", [b"seed", b"SEED"])
def test_text_that_is_no_utf_8_is_refused(stage: Stage, place: bytes) -> None:
    client = stage.client()
    client.socket.send(encode(Begin(1, Spec(seed="SEED"))).replace(place, b"\xed\xa0\x80z"))
    stage.go_on(0.1)
    (refused,) = [one for one in client.heard if isinstance(one, Refused)]
    assert refused.text.startswith("not understood: 'utf-8' codec")


def denying(*networks: str) -> Rules:
    return Rules(LIMITS, {"t": TenantCap(LIMITS), "other": TenantCap(LIMITS)}, {"t": OPEN, "other": OPEN}, networks)


def order_of(stage: Stage, client: Peer, *addresses: str) -> None:
    """A list is being made ready, and no turn has looked whether it is."""
    client.say(Targets(1, packed(*addresses)))
    client.say(Ready(1))
    stage.turn(5 * MS)


def probed(stage: Stage, since: int = 0) -> set[str]:
    return {str(ip_address(packet[16:20])) for _, packet in stage.network.sent[since:]}


def test_a_reload_denies_targets_of_a_list_that_is_just_being_made_ready() -> None:
    later = Later()
    stage = Stage(executor=later)
    client = stage.client()
    client.say(Begin(1, Spec(interval=0.1)))
    order_of(stage, client, "192.0.2.1", "192.0.2.2")
    stage.loop.reload(denying("192.0.2.2"))
    later.work()
    stage.go_on(2)
    assert probed(stage) == {"192.0.2.1"}
    stage.close()


def test_a_reload_loses_no_list_that_is_just_being_made_ready() -> None:
    later = Later()
    stage = Stage(executor=later)
    client = stage.client()
    client.say(Begin(1, Spec(interval=0.1)))
    order_of(stage, client, "192.0.2.1")
    later.work()
    stage.go_on(1)
    order_of(stage, client, "192.0.2.7")
    stage.loop.reload(denying())
    later.work()
    before = len(stage.network.sent)
    stage.go_on(1)
    assert "192.0.2.7" in probed(stage, before)
    before = len(stage.network.sent)
    stage.go_on(1)
    assert probed(stage, before) == {"192.0.2.7"}
    stage.close()


def test_one_list_of_a_job_waits_for_the_thread_however_many_were_ordered() -> None:
    later = Later()
    stage = Stage(executor=later)
    client = stage.client()
    client.say(Begin(1, Spec(interval=0.1)))
    for host in range(1, 40):
        order_of(stage, client, f"192.0.2.{host}")
        client.say(Ready(1))
    stage.turn(5 * MS)
    assert sum(not future.cancelled() for future, _ in later.waiting) == 1
    later.work()
    stage.go_on(1)
    assert probed(stage) == {"192.0.2.39"}
    assert len([one for one in client.heard if isinstance(one, Taken)]) == 1
    assert not [one for one in client.heard if isinstance(one, Refused)]
    client.say(End(1))
    order_of(stage, client, "192.0.2.40")
    stage.close()


def test_a_reload_that_denies_all_of_a_list_ends_its_job(stage: Stage) -> None:
    client = stage.client()
    client.begin(Spec(interval=0.1), "192.0.2.1", "192.0.2.2")
    stage.go_on(0.5)
    stage.loop.reload(denying("192.0.2.0/24"))
    stage.go_on(0.3)
    before = len(stage.network.sent)
    stage.go_on(2)
    assert len(stage.network.sent) == before
    (refused,) = [one for one in client.heard if isinstance(one, Refused)]
    assert refused.text.startswith("none of the targets may be probed")
    check(client.end())


def test_a_reload_without_a_tenant_ends_its_jobs_and_not_the_engine(stage: Stage) -> None:
    client, other = stage.client(), stage.client("other")
    client.begin(Spec(interval=0.001), "192.0.2.1")
    other.begin(Spec(interval=0.1), "192.0.2.2")
    stage.go_on(0.5)
    stage.desk.reload([Account("other")])
    stage.loop.reload(Rules(LIMITS, {"other": TenantCap(LIMITS)}, {"other": OPEN}))
    stage.go_on(0.3)
    before = len(stage.network.sent)
    stage.go_on(1)
    assert probed(stage, before) == {"192.0.2.2"}
    stage.loop.reload(Rules(LIMITS, {"other": TenantCap(LIMITS)}, {"other": OPEN}))
    stage.go_on(5)
    assert stage.loop.sample(stage.now).jobs == 1
    check(other.end())


def test_a_reload_makes_no_more_packets_be_under_way_than_at_the_start() -> None:
    stage = Stage(Limits(rate=10_000, bytes=10e6, in_flight=500))
    stage.network.answer = nothing
    stage.loop.reload(denying())
    client = stage.client()
    client.begin(Spec(interval=0.01, rounds=100, timeout=10.0), *(f"192.0.2.{host}" for host in range(1, 41)))
    stage.go_on(1)
    assert stage.loop.sample(stage.now).in_flight == 500
    stage.close()


def test_new_networks_of_this_host_deny_their_broadcast_addresses_in_lists_that_are_probed(stage: Stage) -> None:
    client = stage.client()
    client.begin(Spec(interval=0.1), "192.0.2.1", "192.0.2.255")
    stage.go_on(0.5)
    stage.ground.own = ("192.0.2.0", "192.0.2.255")
    stage.ground.changed = True
    stage.go_on(0.5)
    before = len(stage.network.sent)
    stage.go_on(1)
    assert probed(stage, before) == {"192.0.2.1"}


def test_nothing_of_a_list_is_probed_of_which_a_piece_was_refused(stage: Stage) -> None:
    client = stage.client()
    client.begin(Spec(interval=0.1), "192.0.2.1")
    for piece in (packed("192.0.2.2"), b"12345", packed("192.0.2.3")):
        client.say(Targets(1, piece))
    client.say(Ready(1))
    stage.go_on(1)
    assert probed(stage) == {"192.0.2.1"}
    assert [one.text for one in client.heard if isinstance(one, Refused)] == ["an address is 16 bytes"]
    order_of(stage, client, "192.0.2.4")
    stage.go_on(1)
    assert probed(stage) == {"192.0.2.1", "192.0.2.4"}


def test_a_list_in_a_great_many_pieces_costs_no_more_than_one(stage: Stage) -> None:
    client = stage.client()
    client.say(Begin(1, Spec(interval=1.0)))
    for host in range(200):
        client.say(Targets(1, packed(f"192.0.2.{host}") if host else b""))
        stage.turn(MS)
    assert stage.loop.sample(stage.now).jobs == 1
    client.say(Ready(1))
    stage.go_on(0.5)
    (taken,) = [one for one in client.heard if isinstance(one, Taken)]
    assert taken.targets == 199
    client.end()
    assert stage.loop.sample(stage.now).targets == 0


def test_no_tenant_takes_all_jobs_there_may_be(stage: Stage) -> None:
    clients = [stage.client(), stage.client()]
    for job in range(JOBS_MOST):
        clients[job % 2].say(Begin(job, Spec()))
        stage.turn(MS)
    clients[0].say(Begin(5000, Spec()))
    stage.go_on(1)
    (refused,) = [one for one in clients[0].heard if isinstance(one, Refused)]
    assert refused.text == f"{JOBS_MOST} jobs of tenant t are open; next: end some"
    other = stage.client("other")
    other.begin(Spec(interval=0.1), "192.0.2.1")
    assert isinstance(other.heard[-1], Taken)
    for client in clients:
        client.socket.close()
        stage.clients.remove(client)
    stage.go_on(1)
    again = stage.client()
    again.begin(Spec(interval=0.1), "192.0.2.1")
    assert isinstance(again.heard[-1], Taken)


def test_who_asks_all_the_time_keeps_no_sample_from_the_others(stage: Stage) -> None:
    client = stage.client()
    stage.go_on(1)
    before = len(stage.samples)
    for _ in range(200):
        client.say(Ask())
        stage.go_on(0.02)
    assert len(stage.samples) - before == 4
    assert len([one for one in client.heard if isinstance(one, Sample)]) >= 200


def test_a_job_ends_after_the_rows_of_all_its_probes_whenever_it_ends(stage: Stage) -> None:
    client = stage.client()
    stage.ground.hops.usable[0] = False
    stage.ground.hops.version += 1
    for job in range(40):
        client.begin(Spec(interval=0.1, rounds=1), "192.0.2.1", job=job)
        stage.turn(2 * MS)
    stage.go_on(2)
    assert {job: client.states(job) for job in range(40)} == {job: {"unsent": 1} for job in range(40)}


def test_what_the_system_did_not_take_is_not_told_as_sent(stage: Stage) -> None:
    stage.network.down = True
    client = stage.client()
    client.begin(Spec(interval=0.01), "192.0.2.1")
    stage.go_on(3)
    assert [one.sent for one in stage.samples] == [0] * len(stage.samples)
    assert stage.samples[-1].tally.unsent > 100


@pytest.mark.parametrize(("rate", "in_flight"), [(1000, 4096), (10_000, 50)])
def test_a_burst_larger_than_what_may_go_at_once_goes_bit_by_bit(rate: float, in_flight: int) -> None:
    stage = Stage(Limits(rate, 10e6, in_flight))
    client = stage.client()
    client.begin(Spec(interval=1.0, rounds=2, burst=500), "192.0.2.1")
    stage.go_on(8)
    tally = client.end()
    check(tally)
    assert tally.answered == 1000
    assert Counter(row["number"] for row in client.rows()) == dict.fromkeys(range(1000), 1)
    stage.close()


def test_a_short_list_does_not_wait_until_the_ways_of_a_long_one_are_found() -> None:
    later = Later()
    stage = Stage(executor=later)
    clients = [stage.client(), stage.client()]
    hosts = [f"10.{number >> 8}.{number & 255}.1" for number in range(4096 * 5)]
    for client, addresses in zip(clients, (hosts, ["192.0.2.1"]), strict=True):
        client.say(Begin(1, Spec(interval=60.0)))
        whole = packed(*addresses)
        for first in range(0, len(whole), 16 * 4096):
            client.say(Targets(1, whole[first : first + 16 * 4096]))
            stage.turn(5 * MS)
        client.say(Ready(1))
        stage.turn(5 * MS)
    later.work()
    stage.go_on(0.07)
    assert probed(stage) == {"192.0.2.1"}
    stage.go_on(0.5)
    assert any(one.startswith("10.") for one in probed(stage))
    stage.close()


def test_a_jitter_that_takes_more_memory_than_a_job_may_is_refused(stage: Stage) -> None:
    client = stage.client()
    client.begin(Spec(interval=86400.0, burst=1000, jitter=0.5), *(f"192.0.2.{host}" for host in range(200)))
    assert not any(isinstance(one, Refused) for one in client.heard)
    hosts = [f"10.{number >> 8}.{number & 255}.1" for number in range(3000)]
    client.begin(Spec(interval=86400.0, burst=1000, jitter=0.5), *hosts, job=2)
    (refused,) = [one for one in client.heard if isinstance(one, Refused)]
    assert refused.text == ("its jitter makes 1,500,000 probes wait, 1,000,000 may at a time; next: a smaller jitter")


def test_the_end_comes_though_nobody_reads_a_capture_and_what_was_lost_is_told(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    client = stage.client()
    reader, writer = os.pipe()
    send_fds(client.socket, [encode(Capture(1))], [writer])
    os.close(writer)
    client.begin(Spec(interval=0.01, rounds=200, size=1900), *(f"192.0.2.{host}" for host in range(1, 11)))
    stage.go_on(3)
    stage.loop.stop()
    stage.loop.run()
    client.read()
    (done,) = [report for report in client.heard if isinstance(report, Captured)]
    assert done.text == "its reader takes nothing; the engine ends"
    assert 0 < done.packets < done.left_out
    assert done.packets + done.left_out == 4000
    assert f"{done.left_out} packets left out; its reader takes nothing" in caplog.text
    os.close(reader)


def test_no_tenant_takes_all_captures_there_may_be(stage: Stage, tmp_path: Path) -> None:
    one, other = stage.client(), stage.client("other")
    for number in range(CAPTURES_MOST // 2 + 1):
        with (tmp_path / f"{number}.pcap").open("wb") as file:
            send_fds(one.socket, [encode(Capture(number))], [file.fileno()])
            send_fds(other.socket, [encode(Capture(number))], [file.fileno()])
        stage.turn(5 * MS)
    stage.go_on(0.5)
    for client, name in ((one, "t"), (other, "other")):
        (refused,) = [report for report in client.heard if isinstance(report, Captured)]
        assert refused.capture == CAPTURES_MOST // 2
        assert refused.text in (
            f"{CAPTURES_MOST // 2} captures of tenant {name} run already; next: end one",
            f"{CAPTURES_MOST} captures run already; next: wait until one has ended",
        )
        for number in range(CAPTURES_MOST // 2):
            client.say(EndCapture(number))
    stage.until(lambda: all(len([x for x in c.heard if isinstance(x, Captured)]) == 5 for c in (one, other)))
