"""What goes on by itself: a list that is probed for ever, by the packet engine or from this loop, and what it came to.

files, groups, peers ─ Lists ─► Targets ─► StandingJob (engine) or Runner (this loop) ─► Results ─► sinks
                                                        └─► Standing ─► Judge ─► health
"""

import asyncio
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from msgspec import structs

from amon.engine.messages import Batch, Spec
from amon.health import Health
from amon.module import Env
from amon.tasks import wait_event
from amon.units import age

from . import ping
from .engines import EngineKeeper, Listing, StandingJob
from .judge import Judge
from .kinds import COUNTS, KINDS, rtt_of
from .lists import Lists
from .results import Gap, Results, Sink, Window, of_engine, of_measured
from .schedules import RATE_MOST, Rounds, Runner, stretched
from .settings import Settings
from .shape import Measurement, World
from .standing import Counting, Standing
from .targets import Targets

LOOK_EVERY = 10.0
"""Seconds between two looks at files and at what was better for a while."""
_FLUSH_AFTER, _FLUSH_ROWS = 1.0, 256  # of measurements of this loop, as one batch
_BREATH = 5000  # targets that are looked at in one turn of the loop
_MOVED_MOST = 100_000  # targets; of longer lists nothing is taken over into the next
_TELL_EVERY = 1.0  # seconds between two news of health that come from results
_SILENT = 3  # intervals without any result, and half a minute: then nothing is known


class Course:
    """world: makes what one measurement is given. sink: gets the results beside the window."""

    def __init__(
        self, env: Env[Settings], lists: Lists, keeper: EngineKeeper, world: Callable[[], World], sink: Sink | None,
        random: Random,
    ) -> None:  # fmt: skip
        name, settings, clock, log, changed = env.name, env.settings, env.clock, env.log, env.changed
        self.settings = settings
        self.targets = Targets()
        self.window = Window(settings.keep)
        self.standing = Standing(0)
        self._counts = settings.kind in COUNTS
        self.judge = Judge(settings.limits, self.targets, self.standing, counts=self._counts)
        self.counting = Counting(random)
        self.lists = lists
        self.heard_at: float | None = None
        self.bugs = 0
        self.stir = asyncio.Event()
        self._name, self._keeper, self._world = name, keeper, world
        self._clock, self._log, self._changed = clock, log, changed
        self._spawn = env.spawn
        self._sinks: list[Sink] = [self.window, *([sink] if sink is not None else [])]
        self.runner = Runner(clock, self._measure, random, jitter=settings.jitter / 100)
        self.job = StandingJob(keeper, clock, log, self._take, changed, self._gap)
        self._paused_at = 0.0
        self.by_engine = False
        self._work: asyncio.Task[None] | None = None
        self._pending: list[tuple[int, Measurement]] = []
        self._seq = 0
        self._running = self.targets  # what the rounds under way are of; the list itself may be newer
        self._not_asked, self._why_not = 0, ""
        self._unsent, self._tally = 0, self.job.now.tally
        self._telling: asyncio.TimerHandle | None = None
        self._untold = False

    @property
    def interval(self) -> float:
        """As it is: without an engine only so many visits a second are made."""
        wanted = self.settings.interval
        return wanted if self.by_engine else stretched(wanted, len(self.targets))

    @property
    def paused(self) -> bool:
        return self.runner.paused

    async def pause(self, paused: bool) -> None:
        now = self._clock.time()
        if paused and not self.paused:
            self._paused_at = now
        elif self.paused and not paused:
            self._gap(self._paused_at, now, "paused")
        self.runner.paused = paused
        self.heard_at = None if paused else self._clock.monotonic()
        await self.job.pause(paused)

    async def run(self) -> None:
        """For ever."""
        try:
            while True:
                self.stir.clear()
                found = await self.lists.load()
                if found is not None:
                    await self._adopt(found)
                elif self._wants_engine() != self.by_engine and self.targets.group:
                    await self._begin()
                self.flush()
                if await self._look_again() or found is not None:
                    self._changed()
                await wait_event(self.stir, self._clock, LOOK_EVERY)
        finally:
            if self._telling is not None:
                self._telling.cancel()
            await self._end()

    async def _look_again(self) -> bool:
        """At those that were better for a while; with a breath between when these are very many."""
        judge, before = self.judge, (bool(self._not_asked), bool(self._unsent))
        # Here, every ten seconds: one packet that had no room must not make health flap.
        self._not_asked = self.standing.count("unmeasured", "unsent")
        self._count_unsent()
        changed = before != (bool(self._not_asked), bool(self._unsent))
        rows = judge.waiting()
        for start in range(0, len(rows), _BREATH):
            changed = judge.look(rows[start : start + _BREATH], self._clock.time()) or changed
            await asyncio.sleep(0)
        return changed

    def _count_unsent(self) -> None:
        """Since the look before: of most packets that it cannot send, for want of a route, the engine tells no rows."""
        now, before = self.job.now.tally, self._tally
        if now is not before:
            self._unsent, self._tally = max(0, now.unsent - before.unsent), now

    # --- the list

    async def _adopt(self, targets: Targets) -> None:
        self.flush()
        before, known = self.targets, self.standing
        self.targets, self.standing = targets, Standing(len(targets))
        self.judge = Judge(self.settings.limits, targets, self.standing, counts=self._counts)
        if len(before) <= _MOVED_MOST and len(targets) <= _MOVED_MOST:
            moved = await asyncio.to_thread(_moved, before, targets)
            self.standing.take_over(known, moved)
            self.judge.look(moved.values(), self._clock.time())
        self._hand(lambda sink: sink.listed(self._name, targets))
        if not (self.by_engine and len(targets) and await self._changed_job()):
            await self._begin()

    async def _changed_job(self) -> bool:
        try:
            return await self.job.change(self._spec(), await asyncio.to_thread(Listing.of, self.targets))
        except Exception as fault:  # it is begun anew, which says what is wrong
            self._log.info("the job could not be changed: %s", fault)
            return False

    def _wants_engine(self) -> bool:
        """Once there, an engine is waited for; where one is configured, from the beginning."""
        if self.settings.kind != "ping":
            return False
        return self.by_engine or self._keeper.wanted or self._keeper.engine is not None

    async def _begin(self) -> None:
        await self._end()
        self.by_engine = self._wants_engine()
        if not len(self.targets):
            return
        self.heard_at = self._clock.monotonic()
        self._running = self.targets
        if self.by_engine:
            work = self.job.run(self._spec(), await asyncio.to_thread(Listing.of, self.targets))
        else:
            rounds = await asyncio.to_thread(Rounds, self.targets, self.interval, self._name)
            work = self.runner.run(rounds)
        self._work = self._spawn(work, name="schedule")  # its crash is the instance's

    async def _end(self) -> None:
        if self._work is not None:
            self._work.cancel()
            await asyncio.wait((self._work,))
            self._work = None
        await self.runner.close()

    def _spec(self) -> Spec:
        """A visit of the engine is all packets of one measurement."""
        settings = self.settings
        made = ping.spec_of(settings.ping, self._world())
        several = settings.ping.count > 1
        return structs.replace(
            made,
            interval=settings.interval,
            rounds=None,
            burst=min(1000, settings.ping.count * made.burst),
            gap=min(made.interval, settings.interval / settings.ping.count) if several else made.gap,
            aligned=True,
            jitter=settings.jitter / 100,
            seed=self._name,
        )

    # --- results

    def _take(self, batch: Batch, listing: Listing) -> None:
        """From the engine: no object per row, but for what there is to count."""
        self._seq += 1
        self._emit(of_engine(batch, self._name, listing.targets.revision, self._seq))
        if listing.targets is not self.targets:
            return
        news = self.counting.take(batch, self.standing, self._clock.monotonic())
        if news is not None and self.judge.look(set(news), self._clock.time()):
            self._tell()

    def _gap(self, begin: float, end: float, why: str) -> None:
        self._hand(lambda sink: sink.gap(Gap(self._name, begin, end, why)))

    def _hand(self, give: Callable[[Sink], None]) -> None:
        """What keeps results must not end what makes them."""
        for sink in self._sinks:
            try:
                give(sink)
            except Exception:
                self.bugs += 1
                self._log.exception("results could not be handed on")

    def _tell(self) -> None:
        """A whole list may change its level within a second: that is told a few times and not for each target."""
        if self._telling is None:
            self._changed()
            self._telling = asyncio.get_running_loop().call_later(_TELL_EVERY, self._told)
        else:
            self._untold = True

    def _told(self) -> None:
        self._telling = None
        if self._untold:
            self._untold = False
            self._tell()

    def _emit(self, results: Results) -> None:
        self.heard_at = self._clock.monotonic()
        self._hand(lambda sink: sink.take(results))

    async def _measure(self, row: int) -> None:
        """One visit from this loop."""
        targets, kind = self._running, self.settings.kind
        text = targets.address(row) or targets.text(row)
        try:
            made = await KINDS[kind].measure(text, getattr(self.settings, kind), self._world())
        except Exception:
            self.bugs += 1
            self._log.exception("bug in probe %s of %s", kind, text)
            return
        if targets is not self.targets:
            return
        self._note(row, made)
        self._pending.append((row, made))
        if len(self._pending) >= _FLUSH_ROWS:
            self.flush()
        elif len(self._pending) == 1:
            asyncio.get_running_loop().call_later(_FLUSH_AFTER, self.flush)

    def _note(self, row: int, made: Measurement) -> None:
        word = self.standing.word(made.state)
        if made.state == "unmeasured":
            self.standing.pass_over(row, made.at, word)
            self._why_not = made.reason
        else:
            self.standing.note(row, made.good, rtt_of(made), made.at, word)
        if self.judge.look((row,), self._clock.time()):
            self._tell()

    def flush(self) -> None:
        if self._pending:
            rows, self._pending = self._pending, []
            self._seq += 1
            self._emit(of_measured(rows, self._name, self.settings.kind, self.targets.revision, self._seq))

    # --- how it is

    def troubles(self) -> Sequence[tuple[str, Health]]:
        """Parts of health that are about the probing itself."""
        found: list[tuple[str, Health]] = []
        if self.lists.faults:
            found.append(("list", Health.fair("; ".join(self.lists.faults)[:300], state="odd")))
        if self._keeper.wanted and self._keeper.trouble:
            found.append(("engine", Health.bad(self._keeper.trouble[:300], state="gone")))
        elif self.by_engine and (self.job.now.trouble or self._keeper.trouble):
            found.append(("engine", Health.bad((self.job.now.trouble or self._keeper.trouble)[:300], state="refuses")))
        denied = sum(one.count for one in self.job.now.denied) if self.by_engine else 0
        if denied:
            text = f"the engine does not probe {denied} of {len(self.targets)}: {self.job.now.denied[0].text}"
            found.append(("denied", Health.fair(text[:300], state="denied")))
        if self._not_asked:
            why = "the engine cannot send to them; see its notes in `monitor`" if self.by_engine else self._why_not
            text = f"{self._not_asked} of {len(self.targets)} cannot be probed from here: {why}"
            found.append(("unmeasured", Health.fair(text[:300], state="unmeasured")))
        elif self._unsent and self.by_engine:
            text = f"the engine could not send {self._unsent} packets lately; why: {self._name} monitor"
            found.append(("unmeasured", Health.fair(text, state="unmeasured")))
        if self.interval > self.settings.interval:
            text = f"{len(self.targets)} targets every {self.settings.interval:g} s need the packet engine: "
            text += f"at most {RATE_MOST:g} a second are visited without it, so each every {age(self.interval)}"
            found.append(("schedule", Health.fair(text, state="slow")))
        elif self.silent:
            found.append(("schedule", Health.unknown(f"no result for {self.silent:.0f} s", state="silent")))
        return found

    @property
    def silent(self) -> float:
        """Seconds without any result, where that is too long; else 0."""
        if self.heard_at is None or self.paused or not len(self.targets):
            return 0.0
        passed = self._clock.monotonic() - self.heard_at
        return passed if passed > max(30.0, _SILENT * self.interval) else 0.0

    def statistics(self) -> dict[str, Any]:
        """Counts since it began, whoever probes."""
        tally = self.job.now.tally
        if self.by_engine:
            return {"probed": tally.sent, "skipped": tally.skipped + tally.unsent, "lost": tally.lost}
        return {"probed": self.runner.begun, "skipped": self.runner.skipped, "lost": 0}


def _moved(before: Targets, after: Targets) -> dict[int, int]:
    """New place by old one, of those that are in both lists."""
    places = {before.text(row): row for row in range(len(before))}
    return {places[text]: row for row in range(len(after)) if (text := after.text(row)) in places}
