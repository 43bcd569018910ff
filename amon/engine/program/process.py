"""One engine process: opens its ways, gives up the rights that took, and turns until it is told to stop.

SIGTERM and SIGINT stop it in order; SIGHUP has it read its configuration again: who may, what and how much changes
without a packet lost, the rest at the next start. Sources: daemon(7), sched_setaffinity(2), capabilities(7).
"""

import logging
import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from amon.engine.desk.server import Bounds, Desk
from amon.engine.linux.netlink import Netlink
from amon.engine.messages import Sample
from amon.engine.paths.paths import Paths
from amon.engine.program import privileges
from amon.engine.program.configuration import Loaded, World, identity_of, later, limits_of, load
from amon.engine.program.settings import EngineSettings
from amon.engine.rules.caps import TenantCap
from amon.engine.rules.guard import Lists
from amon.engine.shapes import WayRefused
from amon.engine.turn.loop import Loop, Rules
from amon.engine.turn.ports import Ports, Wanted, sizes
from amon.engine.ways.trial import Ways, open_ways
from amon.errors import Failed, Problem

OK, FAILED = 0, 1
ROUTED_WAYS = ("raw", "ping")
"""Those that leave it to the system how a packet goes."""
NOTED_FOR, NOTES_MOST = 60.0, 200
"""Seconds, and how many notes are remembered; beyond that nothing new is logged."""
STATUS_EVERY = 10
"""Samples, one each second, between two words to the service manager."""


class Teller(Protocol):
    """Who is told how the process is: `amon.notify.Notify`, or a parent."""

    def ready(self, status: str) -> None: ...
    def reloading(self) -> None: ...
    def stopping(self) -> None: ...
    def status(self, text: str) -> None: ...
    def alive(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Seat:
    """One of `share` processes, counted from 0. core: where it works; None anywhere."""

    number: int = 0
    share: int = 1
    core: int | None = None


class Process:
    """listener: where clients come to. drop: gives up rights."""

    def __init__(
        self,
        loaded: Loaded,
        settings: EngineSettings,
        listener: socket.socket,
        teller: Teller,
        seat: Seat | None = None,
        drop: Callable[[Iterable[int]], frozenset[int]] = privileges.drop,
    ) -> None:
        self._loaded, self._settings, self._listener, self._teller = loaded, settings, listener, teller
        self._drop = drop
        self._seat = seat or Seat()
        self._world = World()
        self._log = logging.getLogger("amon.engine.program.process")
        self._opener = Opener(self._seat.number, settings.rate)
        self._loop: Loop | None = None
        self._desk: Desk | None = None
        self._stopping = self._hung_up = False
        self._reading: Reading | None = None
        self._samples = 0
        self._notes: dict[str, float] = {}

    def run(self) -> None:
        """Until it is told to stop. `Failed` if it cannot begin."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop())
        signal.signal(signal.SIGHUP, lambda *_: self._hang_up())
        with ExitStack() as closing:
            self._settle_in()
            paths, ports = self._open(closing)
            self._give_up_rights()
            bounds = Bounds.under(limits_of(self._settings, self._seat.share).in_flight)
            self._desk = Desk(self._listener, self._loaded.accounts, bounds)
            closing.callback(self._desk.close)
            rules = rules_of(self._settings, self._seat.share)
            identity = identity_of(self._settings, self._world.host())
            self._loop = Loop(secrets.token_hex(8), identity, rules, self._desk, paths, ports, self._hear)
            self._tell_notes(ports.notes)
            if not self._stopping:
                self._teller.ready(status_of(ports.ways))
                self._loop.run()
            self._log.info("stopping")
            self._teller.stopping()

    def _settle_in(self) -> None:
        privileges.sharp_timers()
        privileges.keep_heap()
        if self._seat.core is not None:
            try:
                os.sched_setaffinity(0, {self._seat.core})
            except OSError as error:
                raise Failed(f"core {self._seat.core}: {error.strerror}; next: see `cores`") from None
        if self._settings.lock_memory:
            try:
                privileges.lock_memory()
            except OSError as error:
                text = f"lock_memory: {error.strerror}; next: CAP_IPC_LOCK or LimitMEMLOCK= in the unit"
                raise Failed(text) from None

    def _open(self, closing: ExitStack) -> tuple[Paths, Ports]:
        paths = Paths(Netlink())
        closing.callback(paths.close)
        settings = self._settings
        wanted = [Wanted(one, settings.way, settings.dedicated) for one in interfaces_of(settings)]
        identity = identity_of(settings, self._world.host())
        ports = Ports(wanted, paths.hops, identity.encode(), self._opener)
        closing.callback(ports.close)
        return paths, ports

    def _give_up_rights(self) -> None:
        keep = {privileges.NET_RAW}
        if self._settings.keep_rights:
            keep |= {privileges.NET_ADMIN, privileges.BPF}
        if self._settings.lock_memory:
            keep.add(privileges.IPC_LOCK)  # else the next allocation could fail
        before = privileges.effective()
        try:
            left = self._drop(keep)
        except OSError as error:
            text = f"rights cannot be given up: {error.strerror}; next: see SystemCallFilter= of the unit"
            raise Failed(text) from None
        self._opener.given_up = before - left
        files = (
            "no new files" if privileges.forbid_new_files() else "files as its user may: this kernel has no landlock"
        )
        self._log.info("rights: %s, of %s; %s", privileges.named(left), privileges.named(before & _OURS), files)

    # --- while it turns

    def _hear(self, sample: Sample) -> None:
        """Once a second, between two turns."""
        self._teller.alive()
        self._tell_notes(sample.notes)
        if self._samples % STATUS_EVERY == 0:
            self._teller.status(status_of(sample.ways, sample))
        self._samples += 1
        if self._reading is not None and self._reading.loaded is not None:
            self._take_over(self._reading.loaded)
            self._reading = None
        if self._hung_up and self._reading is None:
            self._hung_up = False
            self._teller.reloading()
            self._reading = Reading(self._loaded.path, self._world)

    def _take_over(self, loaded: Loaded) -> None:
        """All of the new configuration that can be had without a stop, or nothing of it."""
        assert self._loop is not None
        assert self._desk is not None
        settings = loaded.settings
        if settings is None:
            for problem in loaded.problems:
                self._log.error("%s", problem)
            text = f"not reloaded: {count_of(loaded)} in the configuration; the old one stays"
            self._log.error("%s", text)
            self._teller.ready(f"{text}. First: {str(loaded.problems[0])[:200]}")
            return
        waits = later(self._settings, settings)
        self._desk.reload(loaded.accounts)
        self._loop.reload(rules_of(settings, self._seat.share))
        logging.getLogger().setLevel(settings.log.upper())
        text = "reloaded" + (f"; not before a restart: {', '.join(waits)}" if waits else "")
        self._log.info("%s", text)
        self._teller.ready(text)

    def _tell_notes(self, notes: tuple[str, ...]) -> None:
        """Once, and again after a minute without it: some come and go with each job."""
        now = time.monotonic()
        for note in notes:
            if note not in self._notes and len(self._notes) < NOTES_MOST:
                self._log.warning("%s", note)
            self._notes[note] = now
        self._notes = {note: at for note, at in self._notes.items() if now - at < NOTED_FOR}

    def _stop(self) -> None:
        self._stopping = True
        if self._loop is not None:
            self._loop.stop()

    def _hang_up(self) -> None:
        self._hung_up = True


_OURS = frozenset(privileges.NAMES)


class Reading:
    """Reads the configuration aside: names of users may be asked for over the network, and packets do not wait.

    loaded: None until it is there.
    """

    def __init__(self, path: Path, world: World, read: Callable[[Path, World], Loaded] = load) -> None:
        self.loaded: Loaded | None = None
        self._path, self._world, self._read = path, world, read
        threading.Thread(target=self._run, name="configuration", daemon=True).start()

    def _run(self) -> None:
        try:
            self.loaded = self._read(self._path, self._world)
        except Exception as fault:  # a bug must not cost the engine its next reload
            logging.getLogger("amon.engine.program.process").critical("the configuration was not read", exc_info=True)
            self.loaded = Loaded(self._path, problems=[Problem("", f"not read: {fault!r}")])


class Opener:
    """Opens ways, each process on a queue of its own. rate: packets per second at most. given_up: capabilities that
    were there at the start; what is refused for want of them says so."""

    def __init__(self, number: int = 0, rate: float = 10_000, open_way: Callable[..., Ways] = open_ways) -> None:
        self.given_up: frozenset[int] = frozenset()
        self._number, self._open_way, self._sizes = number, open_way, sizes(rate)

    def __call__(self, wanted: Wanted, ident: int) -> Ways:
        queue, interface = self._number % queues_of(wanted.interface), wanted.interface or None
        refusals: list[str] = []
        for way in ROUTED_WAYS if interface is None and wanted.way == "auto" else (wanted.way,):
            try:
                ways = self._open_way(interface, way, ident, dedicated=wanted.dedicated, queue=queue, **self._sizes)
            except WayRefused as refused:
                refusals.append(self._told(str(refused)))
            else:
                return replace(ways, notes=(*refusals, *(self._told(note) for note in ways.notes)))
        raise WayRefused("; ".join(refusals))

    def _told(self, text: str) -> str:
        missed = [name for one, name in privileges.NAMES.items() if one in self.given_up and name in text]
        if not missed:
            return text
        return f"{text}; {' and '.join(missed)} was given up after the start: a restart, or keep_rights = true"


def queues_of(interface: str) -> int:
    """Receive queues of an interface; at least one. Source: Documentation/ABI/testing/sysfs-class-net-queues."""
    return max(1, len(list(Path(f"/sys/class/net/{interface}/queues").glob("rx-*")))) if interface else 1


def interfaces_of(settings: EngineSettings) -> tuple[str, ...]:
    """Those of the default routes if none is named. Source: /proc/net/route and ipv6_route of proc(5)."""
    if settings.interfaces:
        return settings.interfaces
    found = []
    for line in _lines("/proc/net/route")[1:]:
        name, destination, *_, mask, _, _, _ = line.split()
        if destination == mask == "00000000":
            found.append(name)
    for line in _lines("/proc/net/ipv6_route"):
        destination, length, *_, flags, name = line.split()
        rejects = int(flags, 16) & 0x0200  # RTF_REJECT: the kernel's own way to say that there is none
        if length == "00" and not int(destination, 16) and not rejects:
            found.append(name)
    return tuple(one for one in dict.fromkeys(found) if one != "lo")


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:  # a kernel without IPv6
        return []


def rules_of(settings: EngineSettings, share: int = 1) -> Rules:
    """For one of `share` processes."""
    tenants = settings.tenants.items()
    return Rules(
        limits_of(settings, share),
        {name: TenantCap(limits_of(one, share), one.weight) for name, one in tenants},
        {name: Lists(one.allow, one.deny) for name, one in tenants},
        settings.deny,
    )


def status_of(ways: "dict[str, str]", sample: Sample | None = None) -> str:
    """One line, for `systemctl status`."""
    told = ", ".join(f"{name}: {way}" for name, way in ways.items()) or "no way to the network"
    if sample is None:
        return told
    dropped = sum(sample.drops.values())
    return f"{told}; {sample.sent / sample.span:.0f} packets/s, {sample.jobs} jobs, {dropped} dropped since the start"


def count_of(loaded: Loaded) -> str:
    return "1 problem" if len(loaded.problems) == 1 else f"{len(loaded.problems)} problems"
