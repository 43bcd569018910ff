"""A list of very many targets is taken in pieces: no turn is long because of it, and it may be given up in between."""

from collections.abc import Iterator
from ipaddress import ip_address

import numpy as np
import pytest

from amon.engine.messages import Begin, Ready, Refused, Spec, Taken, Targets
from amon.engine.turn.jobs import PIECE
from amon.engine.turn.keeping import PUT_AT_ONCE
from tests.engine.staged import MS, Later, Peer, Stage, check
from tests.engine.test_loop_hostile import denying

COUNT = 4 * PUT_AT_ONCE + 10
TURNS = 5
SLOW = Spec(interval=3600.0)


@pytest.fixture
def later() -> Later:
    return Later()


@pytest.fixture
def stage(later: Later) -> Iterator[Stage]:
    one = Stage(executor=later)
    yield one
    one.close()


def addresses(count: int) -> bytes:
    """From 10.0.0.0 on."""
    halves = np.zeros((count, 2), ">u8")
    halves[:, 1] = (0xFFFF << 32 | 10 << 24) + np.arange(count)
    return halves.tobytes()


def give(stage: Stage, client: Peer, whole: bytes, spec: Spec = SLOW, job: int = 1, each: int = 16 * 4096) -> None:
    client.say(Begin(job, spec))
    for first in range(0, len(whole), each):
        client.say(Targets(job, whole[first : first + each]))
        stage.turn(5 * MS)
    client.say(Ready(job))
    stage.turn(5 * MS)


def taken(client: Peer, job: int = 1) -> list[Taken]:
    return [one for one in client.heard if isinstance(one, Taken) and one.job == job]


def test_a_long_list_gets_its_rows_in_several_turns(stage: Stage, later: Later) -> None:
    client = stage.client()
    give(stage, client, addresses(COUNT))
    later.work()
    for _ in range(TURNS - 1):
        stage.turn(MS)
        assert not taken(client)
    stage.until(lambda: taken(client), 0.1)
    assert taken(client)[0].targets == stage.loop.sample(stage.now).targets == COUNT
    stage.until(lambda: len(stage.network.sent) > 20)
    probed = {int(ip_address(packet[16:20])) - (10 << 24) for _, packet in stage.network.sent}
    assert all(0 <= one < COUNT for one in probed)
    check(client.end())


def test_a_short_list_waits_for_the_rows_of_a_long_one_and_no_longer(stage: Stage, later: Later) -> None:
    client = stage.client()
    give(stage, client, addresses(COUNT))
    give(stage, client, addresses(3), Spec(interval=0.1), job=2)
    later.work()
    stage.until(lambda: taken(client, 2), 0.1)
    assert taken(client, 1)


def test_what_is_denied_while_a_list_gets_its_rows_is_not_probed(stage: Stage, later: Later) -> None:
    client = stage.client()
    give(stage, client, addresses(COUNT))
    later.work()
    stage.turn(MS)
    stage.loop.reload(denying("10.0.0.0/16"))
    stage.go_on(0.1)
    assert not taken(client)
    later.work()
    stage.until(lambda: taken(client), 0.1)
    assert taken(client)[0].targets == COUNT - 65536
    assert len(taken(client)) == 1


def test_a_job_that_ends_while_its_list_gets_its_rows_leaves_none_of_them(stage: Stage, later: Later) -> None:
    client = stage.client()
    for job in range(3):
        give(stage, client, addresses(COUNT), job=job)
        later.work()
        stage.turn(MS)
        stage.turn(MS)
        assert client.end(job).scheduled == 0
    give(stage, client, addresses(3), Spec(interval=0.1), job=9)
    later.work()
    stage.go_on(0.5)
    assert [one.job for one in client.heard if isinstance(one, Taken)] == [9]
    assert not [one for one in client.heard if isinstance(one, Refused)]
    assert stage.loop.sample(stage.now).targets == 3
    check(client.end(9))


def test_a_list_is_the_same_whatever_pieces_it_came_in(stage: Stage, later: Later) -> None:
    client = stage.client()
    whole = addresses(PIECE // 16 + 100)
    for each in (16 * 4096, 16 * 1000):
        give(stage, client, whole, each=each)
        later.work()
        stage.go_on(0.1)
    assert [one.edition for one in taken(client)] == [0, 0]
