"""Sending and receiving through AF_XDP sockets between two namespaces: all is accounted for, to the last packet."""

import os
import select
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import numpy as np
import pytest

from amon.engine.shapes import SNAP
from amon.engine.stamps import interpolate
from amon.engine.ways.xdp import open_xdp
from tests.engine.scalar import checksum
from tests.engine.ways.xdp_scene import IDENT, Scene, drain_all, framed, load, request, scene, slots, veth
from tests.lab.namespaces import End, needs_root, pair
from tests.lab.namespaces import namespaces as new_namespaces
from tests.lab.responder import inside
from tests.lab.tun import device
from tests.waiting import until

pytestmark = [pytest.mark.lab, needs_root]


@pytest.fixture
def lab() -> Iterator[Scene]:
    with scene() as made:
        yield made


def requests(lab: Scene, family: int, first: int, count: int, size: int = 56) -> list[bytes]:
    return [lab.frame(request(family, slot, size).packet()) for slot in range(first, first + count)]


@pytest.mark.parametrize("every", [1, 1 << 30], ids=["sampled", "not sampled"])
@pytest.mark.parametrize("mode", ["generic", "native"])
@pytest.mark.parametrize("family", [4, 6])
async def test_each_request_is_answered_and_comes_in(lab: Scene, family: int, mode: str, every: int) -> None:
    transmitter, receiver = lab.open(frames=512, received=2048, modes=(mode,), every=every)
    came: list[int] = []
    begun, sent = time.monotonic_ns(), []
    stamps = []

    def take() -> bool:
        for part in drain_all(receiver):
            came.extend(slots(part, family))
            stamps.extend(part.stamp.tolist())
            assert (part.length == len(request(family, 0).packet())).all()
        return len(came) >= (turn + 1) * 300

    for turn in range(10):
        published = transmitter.publish(load(transmitter, requests(lab, family, turn * 300, 300)))
        assert (published.sent, published.failed) == (300, 0)
        sent += interpolate(published.spans).tolist()
        await until(take)
    assert came == list(range(3000))
    assert lab.target.answered == 3000
    assert sent == sorted(sent)
    assert stamps == sorted(stamps)
    assert begun <= min(sent)
    assert begun <= min(stamps) <= max(stamps) <= time.monotonic_ns()
    assert set(transmitter.counters().values()) | set(receiver.counters().values()) == {0}
    transmitter.close()
    receiver.close()


async def test_an_answer_is_the_packet_that_came_and_zero_behind_it(lab: Scene) -> None:
    transmitter, receiver = lab.open()
    long, short = (request(4, 1, 500), request(6, 2, 16))
    for probe in (long, long, short):
        transmitter.publish(load(transmitter, [lab.frame(probe.packet())]))
    await until(lambda: lab.target.answered == 3)
    packets = receiver.drain(10)
    assert packets.length.tolist() == [528, 528, 64]
    for row, probe in enumerate((long, long, short)):
        expected = probe.reply(ttl=64)[:SNAP].ljust(SNAP, b"\0")
        assert packets.data[row, 4:].tobytes() == expected[4:]  # the target keeps the flow label
    transmitter.close()
    receiver.close()


async def test_an_answer_larger_than_a_frame_is_cut_but_not_lost() -> None:
    with scene(mtu=2100) as lab:
        transmitter, receiver = lab.open()
        transmitter.publish(load(transmitter, [lab.frame(request(4, 1, 1972).packet())]))
        await until(lambda: lab.target.answered == 1)
        packets = receiver.drain(10)
        assert packets.length.tolist() == [2000]
        assert packets.data[0].tobytes() == request(4, 1, 1972).reply(ttl=64)[:SNAP]
        transmitter.close()
        receiver.close()


async def test_what_the_ring_has_no_room_for_is_counted_to_the_last(lab: Scene) -> None:
    transmitter, receiver = lab.open(received=512)
    for turn in range(5):
        transmitter.publish(load(transmitter, requests(lab, 4, turn * 400, 400)))
    await until(lambda: lab.target.answered == 2000)
    drops = receiver.counters()
    received = sum(map(len, drain_all(receiver)))
    assert received == 512
    assert drops["rx_dropped"] + drops["rx_ring_full"] == 2000 - received
    assert (drops["lost"], drops["other_queue"]) == (0, 0)
    # And what was dropped once does not come later.
    transmitter.publish(load(transmitter, requests(lab, 4, 5000, 400)))
    await until(lambda: lab.target.answered == 2400)
    assert [slot for part in drain_all(receiver) for slot in slots(part, 4)] == list(range(5000, 5400))
    assert receiver.counters() == drops
    transmitter.close()
    receiver.close()


async def test_all_rows_come_round_again(lab: Scene) -> None:
    transmitter, receiver = lab.open(frames=64)
    for turn in range(50):
        assert len(transmitter.rows(100)) == 64
        transmitter.rewind(64)
        transmitter.publish(load(transmitter, requests(lab, 4, turn * 64, 40)))
        transmitter.publish(load(transmitter, requests(lab, 4, turn * 64 + 40, 24)))
        await until(lambda: len(transmitter.rows(64)) + len(receiver.drain(0)) == 64)
        transmitter.rewind(64)
    assert sum(map(len, drain_all(receiver))) == 3200
    transmitter.close()
    receiver.close()


def test_the_error_of_stamps_is_measured_on_a_sample(lab: Scene) -> None:
    transmitter, receiver = lab.open(every=1)
    for turn in range(8):
        transmitter.publish(load(transmitter, requests(lab, 4, turn * 50, 50)))
    errors = transmitter.errors()
    assert len(errors) == 8
    assert (np.abs(errors) < 1_000_000_000).all()
    assert len(transmitter.errors()) == 0
    transmitter.close()
    receiver.close()


async def test_poll_tells_of_an_answer(lab: Scene) -> None:
    transmitter, receiver = lab.open()
    assert select.select([receiver.descriptor], [], [], 0)[0] == []
    transmitter.publish(load(transmitter, requests(lab, 4, 0, 1)))
    assert select.select([receiver.descriptor], [], [], 10)[0] == [receiver.descriptor]
    assert len(receiver.drain(10)) == 1
    assert select.select([receiver.descriptor], [], [], 0)[0] == []
    transmitter.close()
    receiver.close()


def test_an_interface_that_disappears_is_told_and_nothing_breaks(lab: Scene) -> None:
    transmitter, receiver = lab.open()
    lengths = load(transmitter, requests(lab, 4, 0, 300))
    lab.near.space.ip("link", "delete", lab.near.interface)
    published = transmitter.publish(lengths)
    assert (published.sent, published.failed) == (0, 300)
    assert published.why == "AF_XDP: the interface is gone"
    assert len(receiver.drain(100)) == 0
    assert receiver.counters()["lost"] == 0
    assert transmitter.counters() == {"tx_invalid_descs": 0, "ENXIO": 1}
    assert len(transmitter.rows(5000)) == 2048
    transmitter.close()
    receiver.close()


async def test_an_interface_that_is_down_sends_nothing_then_nor_later(lab: Scene) -> None:
    transmitter, receiver = lab.open()
    lengths = load(transmitter, requests(lab, 4, 0, 300))
    lab.near.space.ip("link", "set", lab.near.interface, "down")
    published = transmitter.publish(lengths)
    assert (published.sent, published.failed, published.why) == (0, 300, "AF_XDP: the interface is down")
    lab.near.space.ip("link", "set", lab.near.interface, "up")
    select.select([receiver.descriptor], [], [], 0)  # a poll has the kernel look for something to send
    assert transmitter.publish(load(transmitter, requests(lab, 4, 1000, 200))).sent == 200
    await until(lambda: lab.target.answered >= 200)
    assert [slot for part in drain_all(receiver) for slot in slots(part, 4)] == list(range(1000, 1200))
    assert lab.target.answered == 200
    assert transmitter.counters() == {"tx_invalid_descs": 0, "ENETDOWN": 1}
    transmitter.close()
    receiver.close()


async def test_without_carrier_all_fails_and_nothing_is_sent_when_it_is_back(lab: Scene) -> None:
    transmitter, receiver = lab.open()
    lengths = load(transmitter, requests(lab, 4, 0, 300))
    lab.far.space.ip("link", "set", lab.far.interface, "down")
    published = transmitter.publish(lengths)
    assert (published.sent, published.failed) == (0, 300)
    assert "no carrier" in published.why
    lab.far.space.ip("link", "set", lab.far.interface, "up")
    assert transmitter.publish(load(transmitter, requests(lab, 4, 1000, 200))).sent == 200
    await until(lambda: lab.target.answered >= 200)
    assert [slot for part in drain_all(receiver) for slot in slots(part, 4)] == list(range(1000, 1200))
    assert len(transmitter.rows(5000)) == 2048
    transmitter.close()
    receiver.close()


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_happens_to_the_link_what_is_said_to_be_sent_is_what_arrives(lab: Scene, seed: int) -> None:
    random = Random(seed)
    transmitter, receiver = lab.open(frames=256, every=40)
    frames = [lab.frame(request(family, 7, size).packet()) for family in (4, 6) for size in (16, 56, 1400, 1490)]
    sent = received = 0
    for _ in range(400):
        wanted = random.randint(0, 300)
        rows = transmitter.rows(wanted)
        transmitter.rewind(len(rows))
        lengths = load(transmitter, random.choices(frames, k=len(rows)))
        given = random.randint(0, len(rows))
        at = 0
        while at < given:
            published = transmitter.publish(lengths[at:given])
            sent += published.sent
            assert published.sent + published.failed > 0
            assert bool(published.failed) == bool(published.why)
            at += published.sent + published.failed
        transmitter.rewind(len(rows) - given)
        if random.random() < 0.1:
            end, state = random.choice((lab.near, lab.far)), random.choice(("up", "up", "up", "down"))
            end.space.ip("link", "set", end.interface, state)
        received += sum(len(part) for part in drain_all(receiver))
    for end in (lab.near, lab.far):
        end.space.ip("link", "set", end.interface, "up")
    await until(lambda: lab.target.answered >= sent)
    received += sum(len(part) for part in drain_all(receiver))
    assert sent > 3_000
    assert lab.target.answered == sent
    assert received + sum(receiver.counters().values()) <= sent  # a link that is down takes no answers
    assert len(transmitter.rows(5000)) == 256
    assert transmitter.counters()["tx_invalid_descs"] == 0
    transmitter.close()
    receiver.close()


def test_a_packet_larger_than_the_interface_takes_is_told_and_its_neighbours_go(lab: Scene) -> None:
    transmitter, receiver = lab.open()
    sizes = (1472, 1473, 1900, 56, 1473)  # with IP and ICMP header 1500 is the most
    lengths = load(transmitter, [lab.frame(request(4, slot, size).packet()) for slot, size in enumerate(sizes)])
    first = transmitter.publish(lengths)
    assert (first.sent, first.failed) == (1, 2)
    assert first.why == "AF_XDP: the packet is larger than the interface takes (MTU)"
    rest = transmitter.publish(lengths[3:])
    assert (rest.sent, rest.failed) == (1, 1)
    lab.near.space.ip("link", "set", lab.near.interface, "mtu", "2000")
    assert transmitter.publish(load(transmitter, [lab.frame(request(4, 9, 1473).packet())])).sent == 1
    assert transmitter.counters() == {"tx_invalid_descs": 0}
    transmitter.close()
    receiver.close()


def test_a_frame_that_the_device_drops_is_told_from_those_before_and_behind() -> None:
    """A TAP has a queue of so many frames, and drops the next one."""
    with new_namespaces("tap") as (space,), device(space, "lab0", ethernet=True) as tap:
        space.sysctl(net__ipv6__conf__lab0__disable_ipv6=1)  # else the kernel has frames of its own to send
        space.ip("link", "set", "lab0", "txqueuelen", "16", "up")
        _numbers(tap)
        with inside(space.name):
            transmitter, _ = open_xdp("lab0", IDENT, receive=False, every=1 << 30)
        lengths = load(transmitter, [_numbered(slot) for slot in range(100)])
        done: list[tuple[int, int]] = []
        read: list[int] = []
        at = 0
        while at < 100:
            published = transmitter.publish(lengths[at:])
            assert published.sent or published.failed
            done.append((published.sent, published.failed))
            gone = published.sent + published.failed
            came = [number for number in _numbers(tap) if number >= 0]
            assert came == list(range(at, at + published.sent))
            read += came
            at += gone
        assert done[0] == (16, 1)
        assert sum(sent for sent, _ in done) == len(read)
        assert transmitter.counters() == {"tx_invalid_descs": 0, "EBUSY": sum(failed for _, failed in done)}
        assert len(transmitter.rows(5000)) == 2048
        transmitter.close()


def _numbered(slot: int) -> bytes:
    return framed("02:00:00:00:00:01", "02:00:00:00:00:02", request(4, slot).packet())


def _numbers(tap: int) -> list[int]:
    """Of our frames that came out of the TAP; -1: a frame of the kernel's own."""
    numbers: list[int] = []
    while True:
        try:
            frame = os.read(tap, 4096)
        except BlockingIOError:
            return numbers
        ours = len(frame) == 98 and frame[:6] == bytes.fromhex("020000000001")
        numbers.append(int.from_bytes(frame[42:46], "little") if ours else -1)


async def test_an_answer_on_any_queue_comes_in() -> None:
    with new_namespaces("xdp", "far") as (one, other):
        near, far = veth(one, other, queues=3)
        with inside(one.name):
            # In generic mode a veth has all on its first queue.
            transmitter, receiver = open_xdp(near.interface, IDENT, modes=("native",))
        assert receiver is not None
        assert select.select([receiver.descriptor], [], [], 0)[0] == []
        for queue in range(3):
            _answer_on(far, queue)
        came: list[int] = []

        def take() -> int:
            came.extend(slot for part in drain_all(receiver) for slot in slots(part, 4))
            return len(came) >= 3

        await until(take)
        assert sorted(came) == [0, 1, 2]
        _answer_on(far, 2)
        assert select.select([receiver.descriptor], [], [], 10)[0] == [receiver.descriptor]
        assert set(receiver.counters().values()) == {0}
        transmitter.close()
        receiver.close()


def _answer_on(far: End, queue: int) -> None:
    """A veth's send queue is its peer's receive queue."""
    with inside(far.space.name):
        transmitter, _ = open_xdp(far.interface, IDENT, queue=queue, receive=False, every=1 << 30)
    answer = framed("ff:ff:ff:ff:ff:ff", "02:00:00:00:00:0b", request(4, queue).reply())
    assert transmitter.publish(load(transmitter, [answer])).sent == 1
    transmitter.close()


def test_the_kernel_gets_what_is_not_ours() -> None:
    with pair() as lab:
        with inside(lab.near.space.name):
            transmitter, receiver = open_xdp(lab.near.interface, IDENT)
            asked = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        assert receiver is not None
        with asked:
            asked.settimeout(10)
            other = request(4, 7).packet()[20:].replace(IDENT.to_bytes(2, "big"), b"\x00\x01")
            asked.sendto(other[:2] + _checksum_of(other) + other[4:], ("10.99.0.2", 0))
            assert asked.recv(2048)[20] == 0
        assert len(receiver.drain(10)) == 0
        transmitter.close()
        receiver.close()


def _checksum_of(message: bytes) -> bytes:
    return checksum(message[:2] + b"\0\0" + message[4:]).to_bytes(2, "big")


@pytest.mark.parametrize("first", ["transmitter", "receiver"])
async def test_closing_one_leaves_the_other_at_work(lab: Scene, first: str) -> None:
    transmitter, receiver = lab.open()
    if first == "receiver":
        receiver.close()
        assert transmitter.publish(load(transmitter, requests(lab, 4, 0, 10))).sent == 10
        transmitter.close()
    else:
        transmitter.publish(load(transmitter, requests(lab, 4, 0, 10)))
        transmitter.close()
        await until(lambda: lab.target.answered == 10)
        assert sum(map(len, drain_all(receiver))) == 10
        receiver.close()
    receiver.close()
    transmitter.close()


def descriptors() -> list[Path]:
    return sorted(each for each in Path("/proc/self/fd").iterdir() if each.exists())


def test_nothing_is_open_any_more_behind_close(lab: Scene) -> None:
    before = descriptors()
    transmitter, receiver = lab.open()
    transmitter.publish(load(transmitter, requests(lab, 4, 0, 10)))
    transmitter.close()
    receiver.close()
    assert descriptors() == before
