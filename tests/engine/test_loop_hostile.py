"""What a client may say, however odd, ends no engine and costs nobody else anything."""

from collections.abc import Iterator

import pytest

from amon.engine.messages import Begin, Ended, Pause, Refused, Spec, Taken, encode
from tests.engine.staged import Stage, check


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
