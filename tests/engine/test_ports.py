"""Which hop goes through which way; and ways that are refused, go, and come back."""

import socket
from collections.abc import Iterator
from errno import ENODEV

import numpy as np
import pytest

from amon.engine.packets.table import Table
from amon.engine.packets.targets import NO_HOP, Targets
from amon.engine.shapes import Probes, WayRefused
from amon.engine.turn.outbox import Out
from amon.engine.turn.ports import AGAIN, ROUTED, TOLD_FOR, Ports, Wanted
from amon.engine.ways.trial import Ways
from tests.engine.mirror import Ground, MirrorReceiver, MirrorSender, Network

LOOPBACK = socket.if_nametoindex("lo")


class Opener:
    """Opens mirrors, or refuses. link: of those it opens for an interface."""

    def __init__(self) -> None:
        self.network = Network(lambda: 0)
        self.refuses: set[str] = set()
        self.breaks: set[str] = set()
        self.opened: list[tuple[str, int]] = []

    def __call__(self, wanted: Wanted, ident: int) -> Ways:
        if wanted.interface in self.refuses:
            raise WayRefused("no right to it")
        if wanted.interface in self.breaks:
            raise OSError(ENODEV, "No such device")
        self.opened.append((wanted.interface, ident))
        sender = MirrorSender(self.network)
        if wanted.interface:
            sender.link = True
        return Ways("mirror", {4: sender, 6: sender}, (MirrorReceiver(self.network),), ("a note",))


@pytest.fixture
def ground() -> Iterator[Ground]:
    one = Ground()
    yield one
    one.close()


def gone(out: Out) -> None:
    raise AssertionError("nothing waited")


def test_an_interface_that_goes_while_its_way_is_opened_is_tried_again(ground: Ground) -> None:
    opener = Opener()
    opener.breaks = {"lo"}
    ports = Ports([Wanted("lo")], ground.hops, b"", opener)
    assert ports.ways == {}
    assert ports.notes == ("lo: [Errno 19] No such device",)
    opener.breaks = set()
    ports.refresh(AGAIN, gone)
    assert ports.ways["lo"] == "mirror"
    ports.close()


def test_what_an_interface_can_send_by_itself_goes_through_it_and_the_rest_is_routed(ground: Ground) -> None:
    opener, hops = Opener(), ground.hops
    hops.ifindex[0], hops.link[0] = LOOPBACK, True
    hops.ifindex[1], hops.link[1] = LOOPBACK, False  # no MAC is known there
    ports = Ports([Wanted("lo")], hops, b"", opener)
    ports.refresh(0, gone)
    assert [name for name, _ in opener.opened] == ["lo", ROUTED]
    assert ports.ways == {"lo": "mirror", "routed": "mirror"}
    assert ports.outboxes[ports.outbox_of[0]].transmitter.link
    assert not ports.outboxes[ports.outbox_of[1]].transmitter.link
    assert ports.outbox_of[NO_HOP] == ports.outbox_of[77] == -1
    hops.usable[0] = False
    hops.version += 1
    ports.refresh(0, gone)
    assert ports.outbox_of[0] == -1
    ports.close()


def test_what_the_system_would_route_is_not_listened_for_before_a_target_needs_it(ground: Ground) -> None:
    opener, hops = Opener(), ground.hops
    hops.ifindex[:2], hops.link[:2] = LOOPBACK, True
    ports = Ports([Wanted("lo")], hops, b"", opener)
    ports.refresh(0, gone)
    assert ports.ways == {"lo": "mirror"}
    hops.ifindex[1] += 1000
    hops.version += 1
    ports.refresh(1, gone)
    assert ports.ways == {"lo": "mirror", "routed": "mirror"}
    assert ports.outboxes[ports.outbox_of[1]] in ports.ports[1].boxes.values()
    ports.close()


def test_each_way_has_an_id_of_its_own(ground: Ground) -> None:
    opener = Opener()
    ports = Ports([Wanted("lo"), Wanted(ROUTED)], ground.hops, b"", opener)
    assert len({ident for _, ident in opener.opened}) == 2
    assert all(0x8000 <= ident <= 0xFFFF for _, ident in opener.opened)
    ports.close()


def test_a_way_that_is_refused_says_so_and_is_tried_again_later(ground: Ground) -> None:
    opener = Opener()
    opener.refuses.add("lo")
    ports = Ports([Wanted("lo"), Wanted("amon-none0")], ground.hops, b"", opener)
    assert "lo: no right to it" in ports.notes
    assert "amon-none0: there is no such interface" in ports.notes
    opener.refuses.clear()
    ports.refresh(AGAIN - 1, gone)
    assert "lo" not in ports.ways
    ports.refresh(2 * AGAIN, gone)
    assert "lo" in ports.ways
    assert not [note for note in ports.notes if note.startswith("lo: no right")]
    ports.close()


def test_frames_that_wait_for_an_interface_that_goes_are_given_back(ground: Ground) -> None:
    ports = Ports([Wanted("lo")], ground.hops, b"", Opener())
    ground.hops.ifindex[0], ground.hops.link[0] = LOOPBACK, True
    ports.refresh(0, gone)
    targets, table = Targets(), Table(1024)
    row = targets.add(np.zeros(1, np.uint64), np.full(1, 0xFFFF_C000_0201, np.uint64))
    targets.hop[row] = 0
    count = 5
    probes = Probes(
        np.zeros(count, np.uint16), np.full(count, row, np.uint32), np.arange(count, dtype=np.uint32),
        np.full(count, 64, np.uint8), np.zeros(count, np.uint8), np.arange(count),
    )  # fmt: skip
    nonces = np.arange(1, count + 1).astype(np.uint64)
    slots = table.take(probes, nonces, np.full(count, 10**9))
    box = ports.outboxes[ports.outbox_of[0]]
    rows = box.transmitter.rows(count)
    box.craft(rows, probes, np.full(count, 56, np.uint32), slots, nonces, targets, ground.hops)
    (port,) = [port for port in ports.ports if port.index]
    port.index += 1000  # as if the interface had come back as another one
    given_back: list[Out] = []
    ports.refresh(3 * AGAIN, given_back.append)
    assert [(list(out.slots), len(out.spans)) for out in given_back] == [(list(slots), 0)]
    assert "lo" in ports.ways  # opened again, for the interface of that name
    assert box not in ports.outboxes
    ports.close()


def test_what_a_way_dropped_is_not_forgotten_with_it(ground: Ground) -> None:
    ports = Ports([Wanted("lo")], ground.hops, b"", Opener())
    for port in ports.ports:
        for box in port.boxes.values():
            box.transmitter.counters = lambda: {"tx_dropped": 7}  # type: ignore[method-assign]
    before = ports.counters()
    (port,) = [port for port in ports.ports if port.index]
    port.index += 1000
    ports.refresh(3 * AGAIN, gone)
    assert before["lo mirror tx_dropped"] == ports.counters()["lo mirror tx_dropped"] == 7
    ports.close()


def test_why_the_system_did_not_take_a_packet_is_told_for_a_while(ground: Ground) -> None:
    ports = Ports([Wanted("lo"), Wanted(ROUTED)], ground.hops, b"", Opener())
    for box in ports.outboxes:
        box.why = "mirror: the packet is larger than the interface takes (MTU)"
    ports.refresh(0, gone)
    told = ("lo: not sent: mirror: the packet is larger than the interface takes (MTU)",
            "routed: not sent: mirror: the packet is larger than the interface takes (MTU)")  # fmt: skip
    assert ports.notes[-2:] == told
    ports.outboxes[0].why = "mirror: the packet is larger than the interface takes (MTU)"
    ports.refresh(1, gone)
    ports.refresh(TOLD_FOR, gone)
    assert ports.notes[-2:] == ("a note", told[0])
    ports.refresh(TOLD_FOR + 1, gone)
    assert not set(told) & set(ports.notes)
    ports.close()
