"""The module `probe`: an instance probes its targets for ever, tells how they are, and probes on demand.

What goes on by itself is in `course`, what is asked on demand in `demand`, the packets in `captures`.
"""

import dataclasses
import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from itertools import islice
from random import Random
from typing import Annotated, Any, Literal

from amon.command import Call, command
from amon.errors import Failed, Invalid, Problem, Refused
from amon.fields import Field
from amon.files import read_file, write_whole
from amon.health import Health, Level
from amon.module import Env
from amon.units import age

from . import settings as checks
from .answers import Latest, Monitor, Place, Site, Status, Target, Told
from .captures import Captures
from .course import Course
from .demand import Words
from .echoserver import EchoServer
from .fence import Fence, networks
from .kinds import TIMES
from .lists import Lists
from .monitor import Watch, monitor_of
from .peers import STALE, Peers, address_of, tamed
from .results import PACKETS, Results, Sink, row_of
from .settings import Settings
from .shape import Family, Resolver

Which = Annotated[Literal["all", "bad", "missing", "junk", "denied"], Field("which of them")]
_USUAL = "probe"  # the instance that needs no name: what has none is of this one
Most = Annotated[int, Field("rows at most", least=1, most=10_000)]
Called = Annotated[str, Field("its label or address", pattern=r"[^\s\x00-\x1f]*", longest=253, complete="called")]


class ProbeModule(Captures):
    """sink: where results go beside the memory of this process; see `results.Sink`."""

    def __init__(
        self,
        env: Env[Settings],
        resolver: Resolver | None = None,
        random: Random | None = None,
        icmp: Callable[..., Any] | None = None,
        sink: Sink | None = None,
    ) -> None:
        super().__init__(env, resolver, random, icmp)
        settings = env.settings
        family: Family = getattr(getattr(settings, settings.kind), "family", "any")
        lists = Lists(settings, family, self.book, self.resolver, env.clock, env.log)
        self.course = Course(env, lists, self.keeper, self.world, sink, self.random)
        self._watch = Watch()
        self._echo: EchoServer | None = None
        self._echo_fault = ""
        self._paused = ""
        self._pause_file = env.state / "paused.json"

    @classmethod
    def problems(cls, settings: Settings) -> Iterable[Problem]:
        return checks.problems(settings)

    async def start(self) -> None:
        self.book.load()
        if self._pause_file.exists():
            await self._pause(_paused_by(self._pause_file))

    async def run(self) -> None:
        self.env.spawn(self.keeper.run(), name="engine")
        if self.env.settings.echo.port:
            await self._answer_echo()
        await self.course.run()

    async def _answer_echo(self) -> None:
        """Others' UDP echo, of those who are known; that it cannot be done is no reason to probe nothing."""
        settings = self.env.settings.echo
        fence = Fence(networks(settings.allow)) if settings.allow else None
        self._echo = EchoServer(self.env.clock, lambda host: self._is_peer(host, fence), port=settings.port)
        try:
            await self._echo.start()
        except OSError as fault:
            self._echo_fault = f"UDP port {settings.port}: {(fault.strerror or str(fault)).lower()}"
            self.env.log.warning("echo: %s", self._echo_fault)

    def _is_peer(self, host: str, fence: Fence | None) -> bool:
        if fence is not None and not fence.problem(host):
            return True
        return any(host in told for one in self.book.all().values() for told in one.others.values())

    async def stop(self) -> None:
        if self._echo is not None:
            self._echo.close()
        close = getattr(self.resolver, "close", None)
        if close is not None:
            await close()

    def health(self) -> Health:
        course = self.course
        parts = dict(course.judge.parts()) if len(course.targets) else {}
        if self._paused:
            return Health(Level.maintenance, f"paused {self._paused}", "paused")
        parts |= dict(course.troubles()) | dict(self._watch.look(self.keeper.sample))
        if self.book.fault or (self.env.settings.mesh and not self.book.all()):
            text = self.book.fault or "it was told of no other site; next, on a console: amon run all probe peers @all"
            parts["peers"] = Health.fair(text, state="none")
        if self._echo_fault:
            parts["echo"] = Health.fair(self._echo_fault)
        return Health.of({name: self._named(part) for name, part in parts.items()})

    def _named(self, part: Health) -> Health:
        """Several instances are normal, and a site's line names parts without them: `desy of mesh: 50 % lost`."""
        if part.level is Level.ok or self.env.name == _USUAL:
            return part
        return dataclasses.replace(part, text=f"of {self.env.name}: {part.text}")

    def called(self) -> list[str]:
        """For completion."""
        targets = self.course.targets
        return [targets.called(row) for row in range(min(200, len(targets)))]

    # --- how it is

    @command()
    async def status(self, call: Call) -> Status:
        """What goes on by itself here, and how it goes."""
        course, targets = self.course, self.course.targets
        counts = course.statistics()
        return Status(
            kind=self.env.settings.kind,
            way=self._way(),
            targets=len(targets),
            interval=round(course.interval, 3),
            bad=course.judge.bad_count,
            probed=counts["probed"],
            skipped=counts["skipped"],
            results=course.window.rows,
            let_go=course.window.let_go,
            duplicates=targets.duplicates,
            junk=targets.junk_count,
            denied=sum(one.count for one in course.job.now.denied) if course.by_engine else 0,
            paused=self._paused,
            notes=(*(f"{name}: {one.text}" for name, one in course.troubles()), *self._odd(call)),
        )

    @command()
    async def targets(self, call: Call, which: Which = "all", most: Most = 100) -> list[Target] | list[Place]:
        """The targets with how they are, the worst first; lines that are none (junk); those the engine denies."""
        course = self.course
        if which == "junk":
            return [Place(one.place, one.why) for one in course.targets.junk[:most]]
        if which == "denied":
            denied = islice(course.job.not_probed() if course.by_engine else (), most)
            return [Place(course.targets.called(row), why) for row, why in denied]
        rows = list(islice(course.judge.bad(), most))
        if which == "all":
            well = (row for row in range(len(course.targets)) if course.judge.level(row) is Level.ok)
            rows += islice(well, most - len(rows))
        if which == "missing":
            rows = [row for row in course.targets.names if not course.targets.address(row)]
        return [self._target(row) for row in rows[:most]]

    @command()
    async def latest(self, call: Call, target: Called = "", most: Most = 20) -> list[Latest]:
        """The newest results, of one target or of all, as far as they are in memory."""
        course = self.course
        course.flush()
        if not target:
            found = [one for one, _ in zip(course.window.newest(), range(most), strict=False)]
        else:
            place = course.targets.find(target)
            if place is None:
                raise Refused(f"{target!r} is no target here; see: {self.env.name} targets")
            found = course.window.of_target(place, most)
        return [_latest(results, row_of(results, row, course.targets)) for results, row in found]

    @command()
    async def monitor(self, call: Call) -> Monitor:
        """How the probing itself goes: rates, lateness, drops and queues of the engine, or of this loop."""
        engine = self.keeper.engine
        if engine is not None and not self.keeper.trouble:
            self.keeper.sample = await engine.sample()
        sample = None if self.keeper.trouble else self.keeper.sample
        return monitor_of(self.course, sample, self._way())

    # --- pause and resume

    @command(role="operator", effect="change")
    async def pause(self, call: Call) -> Status:
        """Probe nothing by itself until `resume`, also after a restart of the agent. On demand goes on."""
        if self._paused:
            raise Refused(f"it is paused already, {self._paused}")
        told = {"by": call.asker.jid, "at": self.env.clock.time()}
        write_whole(self._pause_file, json.dumps(told), alone=True)
        await self._pause(_words(told))
        return await ProbeModule.status.function(self, call)

    @pause.plan
    async def _plan_pause(self, call: Call) -> str:
        if self._paused:
            raise Refused(f"it is paused already, {self._paused}")
        return f"{len(self.course.targets)} targets are probed every {self.course.interval:g} s; would: stop that"

    @command(role="operator", effect="change")
    async def resume(self, call: Call) -> Status:
        """Go on after `pause`, at the times at which it would be by now."""
        if not self._paused:
            raise Refused("it is not paused")
        self._pause_file.unlink(missing_ok=True)
        await self._pause("")
        return await ProbeModule.status.function(self, call)

    @resume.plan
    async def _plan_resume(self, call: Call) -> str:
        if not self._paused:
            raise Refused("it is not paused")
        return (
            f"paused {self._paused}; would: probe {len(self.course.targets)} targets every {self.course.interval:g} s"
        )

    async def _pause(self, why: str) -> None:
        self._paused = why
        await self.course.pause(bool(why))
        self.env.changed()

    # --- the other sites

    @command()
    async def sites(self, call: Call) -> list[Site]:
        """The other sites as this one was told of them, with how old that is."""
        told, now = self.book.of(call.account), self.env.clock.time()
        return [
            Site(name, addresses, max(0.0, now - told.at), told.by, _note(name, addresses, now - told.at))
            for name, addresses in sorted(told.sites.items())
            if name != told.here
        ]

    @command(role="admin", effect="change")
    async def peers(self, call: Call, sites: Words) -> Told:
        """Keep what the console knows of other sites, for `mesh` and for chats: amon run all probe peers @all

        `@all` is the whole fleet: who is not in it any more is forgotten. Anything less adds to what is known.
        """
        told, came = self._told(call, sites)
        self.book.tell(call.account, came)
        self.course.stir.set()
        self.env.changed()
        return told

    @peers.plan
    async def _plan_peers(self, call: Call, sites: Words) -> Told:
        return self._told(call, sites)[0]

    def _told(self, call: Call, words: Words) -> tuple[Told, Peers]:
        if not call.sites:
            raise Refused("what sites tell comes with a console, not with a chat; there: amon run all probe peers @all")
        if any(not word.startswith("@") for word in words):
            raise Invalid("sites are named with an @: peers @all")
        came, odd = tamed(call.sites)
        before = self.book.of(call.account)
        known = dict(before.sites)
        sites = came if "@all" in words else {**known, **came}
        made = Peers(before.version + 1, self.env.clock.time(), call.asker.jid, sites, call.site)
        told = Told(
            sites=len(made.others),
            version=made.version,
            new=tuple(sorted(name for name in came if name not in known and name != call.site)),
            changed=tuple(sorted(name for name in came if name in known and known[name] != came[name])),
            gone=tuple(sorted(name for name in known if name not in sites)),
            absent=made.absent,
            odd=odd,
        )
        return told, made

    # --- in words

    def _way(self) -> str:
        engine = self.keeper.engine
        if engine is None or not self.course.by_engine:
            return "this agent"
        if self.keeper.trouble:  # an engine that went has no ways; `notes` says why
            return "packet engine (away)"
        ways = ", ".join(f"{name} {way}" for name, way in sorted(engine.welcome.ways.items()))
        return f"packet engine ({ways})" if ways else "packet engine"

    def _odd(self, call: Call) -> list[str]:
        passed, told = self.course.counting.passed, self.book.of(call.account)
        old = age(max(0.0, self.env.clock.time() - told.at))
        said = [f"other sites: told by {told.by} {old} ago"] if self.env.settings.mesh and told.version else []
        if gaps := self.course.window.gaps:
            long = age(sum(one.end - one.begin for one in gaps))
            said.append(f"{len(gaps)} gaps, together {long}; the last: {gaps[-1].why}"[:300])
        if odd := self.course.job.now.odd:
            said.append(f"{odd} batches of the engine made no sense: see the log of the site")
        said += [f"of {passed} results only the counts are looked at: too many a second"] if passed else []
        return said + ([f"{self.course.bugs} bugs: see the log of the site"] if self.course.bugs else [])

    def _target(self, row: int) -> Target:
        course, now = self.course, self.env.clock.time()
        standing = course.standing
        loss, rtt, last = standing.loss(row, self.env.settings.limits.window), standing.rtt[row], standing.last[row]
        return Target(
            course.targets.called(row),
            course.targets.address(row),
            course.targets.group_of(row),
            course.judge.level(row).word,
            None if loss is None else round(100 * loss, 2),
            rtt or None,
            standing.words[standing.state[row]] if last else "not probed yet",
            max(0.0, round(now - last, 1)) if last else None,
        )


def _note(name: str, addresses: tuple[str, ...], old: float) -> str:
    try:
        address_of(name, addresses, "any")
    except Refused as missing:
        return str(missing)
    return f"old: told {age(old)} ago; next, on a console: amon run all probe peers @all" if old > STALE else ""


def _latest(results: Results, row: dict[str, Any]) -> Latest:
    if results.kind == PACKETS:
        at, rtt, text = row.get("sent", 0) / 1e9, row.get("rtt", 0) / 1e9, row.get("source", "")
        if row["state"] in ("lost", "unsent"):
            rtt, text = None, ""
    else:
        at, text = row.get("at", 0.0), row.get("reason", "")
        times = (row[name] for name in TIMES if name in row)
        rtt = next((one for one in times if one == one), None)  # NaN is no time
    when = datetime.fromtimestamp(at, UTC).strftime("%m-%d %H:%M:%S.%f")[:-3]
    return Latest(when, row["target"], str(row["state"]), rtt, str(text))


def _words(told: dict[str, Any]) -> str:
    return f"by {told['by']} at {datetime.fromtimestamp(told['at'], UTC):%Y-%m-%d %H:%MZ}"


def _paused_by(path: Any) -> str:
    try:
        told = json.loads(read_file(path, 4096)[0])
        return _words({"by": str(told["by"])[:255], "at": float(told["at"])})
    except (Failed, ValueError, KeyError, TypeError, OverflowError, OSError):
        return "nobody knows by whom"
