"""The engine's ways to the network: by interface the best that could be had, and one through the system's own routing.

The last is opened when a target needs it, as it hears every ICMP packet of the host. Each way has an id of its own in
its echo requests, so that no answer is seen twice. A way that goes with its interface is opened again when it is back.
"""

import logging
import secrets
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from amon.engine.paths.hops import HOPS_MOST, Hops
from amon.engine.shapes import MAPPED, Receiver, Transmitter, WayRefused
from amon.engine.turn.outbox import Out, Outbox
from amon.engine.ways.trial import Ways

ROUTED = ""
"""The port whose packets the system routes: raw or ICMP sockets."""
AGAIN = 2_000_000_000
"""ns between two tries to open what is gone."""
TOLD_FOR = 60_000_000_000
"""ns for which it is told why the system did not take a packet."""
Open = Callable[["Wanted", int], Ways]


@dataclass(frozen=True, slots=True)
class Wanted:
    """An interface to send through by its link layer; `ROUTED` for all the others. way: as `trial.open_ways` has it."""

    interface: str
    way: str = "auto"
    dedicated: bool = False


@dataclass(slots=True, eq=False)
class Port:
    """One way that is open. index: of the interface when it was opened; 0 for the routed one."""

    wanted: Wanted
    ident: int
    index: int
    ways: Ways
    boxes: dict[int, Outbox]
    """By family; the same one for both where the way sends both."""

    def close(self) -> None:
        self.ways.close()


class Ports:
    """identity: stands in each packet. open_way: opens a way, with that id.

    outbox_of: by row of `Hops`, the place in `outboxes` through which it goes, -1 where there is none.
    """

    def __init__(self, wanted: Sequence[Wanted], hops: Hops, identity: bytes, open_way: Open) -> None:
        self._wanted = list(wanted)
        self._hops, self._identity = hops, identity
        self._open_way = open_way
        self._version = -1
        self._tried = 0
        self._refused: dict[str, str] = {}
        self._gone: dict[str, int] = {}
        self._unsent: dict[str, int] = {}
        self._log = logging.getLogger("amon.engine.turn.ports")
        self.ports: list[Port] = []
        self.outboxes: list[Outbox] = []
        self.outbox_of: NDArray[np.int16] = np.full(HOPS_MOST + 1, -1, np.int16)
        for one in self._wanted:
            self._try(one)

    @property
    def ways(self) -> dict[str, str]:
        """By interface, for people."""
        return {port.wanted.interface or "routed": port.ways.name for port in self.ports}

    @property
    def stamped_by(self) -> str:
        """What the error of send stamps is measured against."""
        return ", ".join(dict.fromkeys(f"{port.ways.name}: SO_TIMESTAMPING" for port in self.ports))

    @property
    def notes(self) -> tuple[str, ...]:
        refused = [f"{name or 'routed'}: {text}" for name, text in self._refused.items()]
        return (*refused, *(note for port in self.ports for note in port.ways.notes), *self._unsent)

    def counters(self) -> dict[str, int]:
        """What every layer of every way dropped, since it was opened or, of those that are gone, in all."""
        found = dict(self._gone)
        for port in self.ports:
            for name, count in _counters(port).items():
                found[name] = found.get(name, 0) + count
        return found

    def refresh(self, now: int, each: Callable[[Out], None]) -> None:
        """Close what is gone, open what is back, and know which hop goes where. each: told of frames never sent."""
        self._note_unsent(now)
        for port in [port for port in self.ports if port.index and _index(port.wanted.interface) != port.index]:
            self._log.warning("%s is gone", port.wanted.interface)
            self._close(port, each)
        missing = {one.interface for one in self._wanted} - {port.wanted.interface for port in self.ports}
        if missing and now - self._tried >= AGAIN:
            self._tried = now
            for one in [one for one in self._wanted if one.interface in missing]:
                self._try(one)
        if self._hops.version != self._version:
            self._version = self._hops.version
            self._place()
            if all(one.interface for one in self._wanted) and (self.outbox_of[:HOPS_MOST][self._hops.usable] < 0).any():
                self._wanted.append(Wanted(ROUTED))
                self._tried = now
                self._try(self._wanted[-1])
                self._version = self._hops.version
                self._place()

    def _note_unsent(self, now: int) -> None:
        for port in self.ports:
            for box in port.boxes.values():
                if box.why:
                    self._unsent[f"{port.wanted.interface or 'routed'}: not sent: {box.why}"] = now
                    box.why = ""
        self._unsent = {note: at for note, at in self._unsent.items() if now - at < TOLD_FOR}

    def close(self) -> None:
        for port in self.ports:
            port.close()
        self.ports, self.outboxes = [], []

    def _try(self, wanted: Wanted) -> None:
        index = _index(wanted.interface)
        if wanted.interface and not index:
            self._refused[wanted.interface] = "there is no such interface"
            return
        # Ids of other programs' pings are their process ids: small ones.
        ident = 0x8000 | secrets.randbits(15)
        while any(port.ident == ident for port in self.ports):
            ident = 0x8000 | secrets.randbits(15)
        try:
            ways = self._open_way(wanted, ident)
        except (WayRefused, OSError) as refused:  # the interface may go while it is opened
            if self._refused.get(wanted.interface) != str(refused):
                self._log.warning("%s: %s", wanted.interface or "routed", refused)
            self._refused[wanted.interface] = str(refused)
            return
        self._refused.pop(wanted.interface, None)
        made: dict[int, Outbox] = {}
        for sender in ways.transmitters.values():
            if id(sender) not in made:
                made[id(sender)] = Outbox(sender, ident, self._identity)
        boxes = {family: made[id(sender)] for family, sender in ways.transmitters.items()}
        self.ports.append(Port(wanted, ident, index, ways, boxes))
        self._changed()

    def _close(self, port: Port, each: Callable[[Out], None]) -> None:
        for name, count in _counters(port).items():
            self._gone[name] = self._gone.get(name, 0) + count
        for box in port.boxes.values():
            box.give_up("the interface is gone", each)
        self.ports.remove(port)
        port.close()
        self._refused[port.wanted.interface] = "the interface is gone"
        self._changed()

    def _changed(self) -> None:
        self.outboxes = list(dict.fromkeys(box for port in self.ports for box in port.boxes.values()))
        self._version = -1

    def _place(self) -> None:
        """Which hop goes through which box: its interface's, if that writes its link layer; else the routed one."""
        hops = self._hops
        mapped = (hops.source_high == 0) & (hops.source_low >> np.uint64(32) == MAPPED >> 32)
        self.outbox_of[:] = -1
        for family, mine in ((4, mapped), (6, ~mapped)):
            for port in sorted(self.ports, key=lambda port: bool(port.index)):  # the routed one first, and then better
                box = port.boxes.get(family)
                if box is not None:
                    fits = mine & hops.usable
                    if port.index:
                        fits &= (hops.ifindex == port.index) & (hops.link | (not box.transmitter.link))
                    self.outbox_of[:HOPS_MOST][fits] = self.outboxes.index(box)


def sizes(rate: float) -> dict[str, int]:
    """What a way needs for so many packets per second, in words of `open_ways`: frames for a tenth of a second, and
    room for the answers of two drains; between what serves few packets and what serves a million."""
    frames = _power(rate / 10, 1024, 8192)
    return {"frames": frames, "received": frames, "ring": _power(rate * 100, 2**22, 2**24)}


def _power(wanted: float, least: int, most: int) -> int:
    return min(most, max(least, 1 << (round(wanted) - 1).bit_length()))


def _index(interface: str) -> int:
    """0 where there is none."""
    try:
        return socket.if_nametoindex(interface) if interface else 0
    except OSError:  # "no interface with this name", without an errno
        return 0


def _counters(port: Port) -> dict[str, int]:
    name = port.wanted.interface or "routed"
    senders: list[Transmitter] = list(dict.fromkeys(box.transmitter for box in port.boxes.values()))
    parts: list[Transmitter | Receiver] = [*senders, *port.ways.receivers]
    found: dict[str, int] = {}
    for part in parts:
        for counter, count in part.counters().items():
            key = f"{name} {part.name} {counter}"
            found[key] = found.get(key, 0) + count
    return found
