"""One process for each core, and their parent: it holds the sockets, restarts who dies, and speaks with systemd.

The parent touches no network and has no capability in force; it keeps those its children need to start again. A child
says how it is over a socket pair, once a second at least: one that says nothing is stuck, and ended. Sources: fork(2),
waitpid(2), prctl(2) PR_SET_PDEATHSIG.
"""

import logging
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from amon.engine.program import privileges
from amon.notify import Notify

OK, FAILED = 0, 1
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds. first, most: before a child that died is started again, doubling. good: a life this long sets that back.
    silent: a child that says nothing for so long is ended. stop: until one that was asked to stop is killed."""

    first: float = 1.0
    most: float = 30.0
    good: float = 60.0
    silent: float = 30.0
    stop: float = 10.0


class ChildTeller:
    """A child's word to its parent."""

    def __init__(self, out: socket.socket) -> None:
        self._out = out

    def ready(self, status: str) -> None:
        self._tell("ready", status)

    def reloading(self) -> None:
        self._tell("alive")

    def stopping(self) -> None:
        self._tell("alive")

    def status(self, text: str) -> None:
        self._tell("status", text)

    def alive(self) -> None:
        self._tell("alive")

    def _tell(self, kind: str, text: str = "") -> None:
        try:
            self._out.send(f"{kind} {text[:1000]}".encode(errors="replace"), socket.MSG_DONTWAIT)
        except OSError:
            pass  # the parent is busy, or gone: then its signal comes


Body = Callable[[int, ChildTeller], int]
"""What a child does: its number, whom to tell how it is; its exit code."""


@dataclass(slots=True)
class _Child:
    number: int
    pid: int = 0
    channel: socket.socket | None = None
    begun: float = 0.0
    heard: float = 0.0
    ready: bool = False
    """It has been once, in this life or another."""
    status: str = "starting"
    deaths: int = 0
    again: float = 0.0


@dataclass(slots=True)
class _Asked:
    stop: bool = False
    reload: bool = False
    since: float = field(default=0.0)


class Cores:
    """body: run in each child. reload: called at SIGHUP, before the children get it; False keeps it from them."""

    def __init__(
        self, count: int, body: Body, notify: Notify, *, reload: Callable[[], bool] = lambda: True,
        times: Times | None = None,
    ) -> None:  # fmt: skip
        self._body, self._notify, self._reload, self._times = body, notify, reload, times or Times()
        self._children = [_Child(number) for number in range(count)]
        self._selector = selectors.DefaultSelector()
        self._asked = _Asked()
        self._told = ""
        self._failed = self._up = False
        self._beat = self._looked = 0.0
        self._log = logging.getLogger("amon.engine.program.cores")

    def run(self) -> int:
        """Until SIGTERM or SIGINT; 1 if a child could not even begin."""
        inside, outside = socket.socketpair()
        inside.setblocking(False)
        outside.setblocking(False)
        self._selector.register(inside, selectors.EVENT_READ)
        before = {number: signal.signal(number, self._heed) for number in _SIGNALS}
        woken = signal.set_wakeup_fd(outside.fileno(), warn_on_full_buffer=False)
        try:
            privileges.suspend()
            return self._live(inside)
        finally:
            signal.set_wakeup_fd(woken)
            for number, handler in before.items():
                signal.signal(number, handler)
            self._selector.close()
            inside.close()
            outside.close()

    def _live(self, inside: socket.socket) -> int:
        while True:
            now = time.monotonic()
            if not self._asked.stop:
                self._start_due(now)
            for key, _ in self._selector.select(self._patience(now)):
                if key.fileobj is inside:
                    _empty(inside)
                else:
                    self._hear(key.data, time.monotonic())
            code = self._look(time.monotonic())
            if code is not None:
                return code

    def _look(self, now: float) -> int | None:
        """The exit code once all is over."""
        self._reap(now)
        self._end_silent(now)
        if self._asked.reload:
            self._asked.reload = False
            self._pass_on_reload()
        if self._asked.stop or self._failed:
            self._ask_stop(now)
            if not any(child.pid for child in self._children):
                return FAILED if self._failed else OK
            if now - self._asked.since > self._times.stop:
                self._signal(signal.SIGKILL)
        self._tell(now)
        return None

    def _start_due(self, now: float) -> None:
        for child in self._children:
            if not child.pid and now >= child.again:
                self._start(child, now)

    def _start(self, child: _Child, now: float) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        ours.setblocking(False)
        parent, pid = os.getpid(), os.fork()
        if pid == 0:
            self._be_child(child, theirs, parent)
        theirs.close()
        child.pid, child.channel = pid, ours
        child.begun = child.heard = now
        self._selector.register(ours, selectors.EVENT_READ, child)

    def _be_child(self, child: _Child, channel: socket.socket, parent: int) -> None:
        """Never returns."""
        code = FAILED
        try:
            signal.set_wakeup_fd(-1)
            for number in _SIGNALS:
                signal.signal(number, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the parent says when
            signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until it listens
            privileges.end_with_parent(signal.SIGTERM)
            if os.getppid() == parent:
                for other in self._children:
                    if other.channel is not None:
                        other.channel.close()
                privileges.resume()
                code = self._body(child.number, ChildTeller(channel))
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else FAILED
        except BaseException:
            self._log.critical("core %d broke", child.number, exc_info=True)
        finally:
            logging.shutdown()
            os._exit(code)

    def _hear(self, child: _Child, now: float) -> None:
        assert child.channel is not None
        for _ in range(100):
            try:
                said = child.channel.recv(4096).decode(errors="replace")
            except OSError:
                return
            kind, _, text = said.partition(" ")
            child.heard = now
            if kind == "ready":
                child.ready = True
            if text:
                child.status = text

    def _reap(self, now: float) -> None:
        for child in self._children:
            pid, status = os.waitpid(child.pid, os.WNOHANG) if child.pid else (0, 0)
            if pid:
                self._close(child)
                child.pid = 0
                if not self._asked.stop:
                    self._mourn(child, os.waitstatus_to_exitcode(status), now)

    def _mourn(self, child: _Child, code: int, now: float) -> None:
        why = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        if not child.ready:
            # It has never been ready: the others would not get further either, and a restart of all is systemd's.
            self._log.error("core %d could not begin: %s", child.number, why)
            self._failed = True
            return
        child.deaths = 0 if now - child.begun >= self._times.good else child.deaths + 1
        wait = min(self._times.most, self._times.first * float(1 << min(child.deaths, 20)))
        child.again, child.status = now + wait, f"ended ({why})"
        self._log.error("core %d ended (%s); started again in %g s", child.number, why, wait)

    def _close(self, child: _Child) -> None:
        if child.channel is not None:
            self._selector.unregister(child.channel)
            child.channel.close()
            child.channel = None

    def _end_silent(self, now: float) -> None:
        if now - self._looked > self._times.silent / 2:
            # This process was stopped itself, and the others with it.
            for child in self._children:
                child.heard = now
        self._looked = now
        for child in self._children:
            if child.pid and now - child.heard > self._times.silent:
                self._log.error("core %d has said nothing for %g s: it is ended", child.number, self._times.silent)
                child.heard = now
                os.kill(child.pid, signal.SIGKILL)

    def _pass_on_reload(self) -> None:
        self._notify.reloading()
        if self._reload():
            self._signal(signal.SIGHUP)
        self._up = False  # to be told that we are ready again

    def _ask_stop(self, now: float) -> None:
        if not self._asked.since:
            self._asked.stop, self._asked.since = True, now
            self._log.info("stopping")
            self._notify.stopping()
            self._signal(signal.SIGTERM)

    def _signal(self, number: int) -> None:
        for child in self._children:
            if child.pid:
                os.kill(child.pid, number)

    def _tell(self, now: float) -> None:
        if now - self._beat >= (self._notify.watchdog or 1e9) / 2:
            self._beat = now
            self._notify.alive()
        if self._asked.stop or not all(child.ready for child in self._children):
            return
        told = "; ".join(f"core {child.number}: {child.status}" for child in self._children)
        if not self._up:
            self._notify.ready(told)
        elif told != self._told:
            self._notify.status(told)
        self._told, self._up = told, True

    def _patience(self, now: float) -> float:
        dues = [child.again - now for child in self._children if not child.pid] if not self._asked.stop else []
        watch = [(self._notify.watchdog or 2.0) / 2]
        return max(0.01, min((*dues, *watch, 1.0)))

    def _heed(self, number: int, frame: object) -> None:
        if number == signal.SIGHUP:
            self._asked.reload = True
        elif number != signal.SIGCHLD:
            self._asked.stop = True


def _empty(inside: socket.socket) -> None:
    try:
        while inside.recv(4096):
            pass
    except BlockingIOError:
        pass
