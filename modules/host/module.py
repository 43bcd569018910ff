"""How this host is: the commands that tell it, and a look at the limits every half minute."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Annotated, Literal, TypeVar

from amon.command import Call, command
from amon.errors import Failed
from amon.fields import Field
from amon.health import Health
from amon.module import Env, Module

from . import results
from .blocking import Blocking
from .disks import Answer, ask_all, worth_a_look
from .limits import Levels
from .settings import Settings
from .traffic import Rates
from .watch import Look, moment, parts_of
from .world import Heat, Machine, Mount, Space, Task, World

T = TypeVar("T")

_FIRST_LOOK = 0.5  # seconds a mount has to answer while the instance starts: a dead one must not hold up the agent
_SLOW = 10.0  # seconds for what is slow but does answer: sensors, drivers, a full process table
_MEASURE = 1.0  # seconds between the two looks at the processes

Every = Annotated[float, Field("time between two looks", unit="s", least=1, most=3600)]
Count = Annotated[int, Field("how many", least=1, most=100)]
By = Annotated[Literal["cpu", "memory"], Field("what to sort by")]


class HostModule(Module[Settings]):
    """world: what to look at, this machine if not given."""

    def __init__(self, env: Env[Settings], world: World | None = None) -> None:
        super().__init__(env)
        self._world = world or Machine()
        self._blocking = Blocking()
        self._levels = Levels(env.settings.slack)
        self._rates = Rates()
        self._parts: Mapping[str, Health] = {}

    async def start(self) -> None:
        await self._watch(min(_FIRST_LOOK, self.env.settings.answer_within))

    async def run(self) -> None:
        while True:
            await self.env.clock.sleep(self.env.settings.every)
            await self._watch(self.env.settings.answer_within)

    def health(self) -> Health:
        return Health.of(self._parts)

    @command()
    async def summary(self, call: Call) -> results.Summary:
        """Load, memory, swap, the fullest disk and the temperature, in one line."""
        look = await self._look(self.env.settings.answer_within)
        path, space = look.fullest or (None, None)
        return results.Summary(
            cores=look.load.cores,
            load=look.load_per_core,
            memory=look.memory.percent,
            memory_size=look.memory.size,
            swap=None if look.swap is None else look.swap.percent,
            disk=path,
            disk_used=None if space is None else space.percent,
            temperature=None if look.hottest is None else look.hottest.celsius,
            silent=look.silent,
        )

    @command()
    async def disks(self, call: Call) -> list[results.Disk]:
        """How full each mount is.

        A mount that does not answer (a dead NFS server) is listed as such. Made-up file systems are left out, and what
        is mounted in several places is listed once.
        """
        mounts = self._mounts()
        said = await ask_all(mounts, self._world.space, self._blocking, self.env.settings.answer_within)
        # A file system without any size, such as some of FUSE, has nothing to be full of.
        return [_disk(mount, said[mount.path]) for mount in mounts if not _is_sizeless(said[mount.path])]

    @command()
    async def network(self, call: Call) -> list[results.Interface]:
        """What each interface carries, and what it loses."""
        links = await self._slowly("network", self._world.links)
        counters = self._world.traffic()
        rates = self._rates.since_last(self.env.clock.monotonic(), counters)
        rows = []
        for name, link in sorted(links.items()):
            rx_rate, tx_rate = rates.get(name, (None, None))
            seen = counters.get(name)
            numbers = (seen.rx, seen.tx, seen.errors, seen.drops) if seen is not None else (0, 0, 0, 0)
            rows.append(results.Interface(name, link.up, link.speed, rx_rate, tx_rate, *numbers))
        return rows

    @command()
    async def temperature(self, call: Call) -> list[results.Sensor]:
        """What each sensor says; many virtual machines have none."""
        heat = await self._slowly("sensors", self._world.heat)
        return [results.Sensor(one.sensor, one.celsius, one.high, one.critical) for one in heat]

    @command()
    async def processes(self, call: Call, by: By = "cpu", count: Count = 10) -> list[results.Process]:
        """The processes that take most; looks for a second. Names only, no arguments: those may hold passwords."""
        before = {(task.pid, task.began): task.cpu for task in await self._slowly("processes", self._world.tasks)}
        began = self.env.clock.monotonic()
        await self.env.clock.sleep(_MEASURE)
        tasks = list(await self._slowly("processes", self._world.tasks))
        seconds = max(_MEASURE, self.env.clock.monotonic() - began)
        # One that was born meanwhile has used all its time in between.
        rows = [_process(one, one.cpu - before.get((one.pid, one.began), 0.0), seconds, self._now) for one in tasks]
        rows.sort(key=lambda row: (-(row.cpu if by == "cpu" else row.memory), row.pid))
        return rows[:count]

    @command()
    async def watch(self, call: Call, every: Every = 5) -> AsyncIterator[results.Moment]:
        """Load, memory and the worst of what is looked at, again and again until you stop it."""
        levels = Levels(self.env.settings.slack)  # its own: health must not depend on who watches
        while True:
            look = await self._look(self.env.settings.answer_within)
            yield moment(look, parts_of(look, self.env.settings, levels, self._now), self._now)
            await self.env.clock.sleep(every)

    @property
    def _now(self) -> float:
        return self.env.clock.time()

    def _mounts(self) -> list[Mount]:
        return worth_a_look(self._world.mounts(), self.env.settings.ignore)

    async def _look(self, within: float) -> Look:
        mounts = self._mounts()
        disks = await ask_all(mounts, self._world.space, self._blocking, within)
        heat: Sequence[Heat] = ()
        try:
            heat = await self._blocking.ask("sensors", self._world.heat, within)
        except (OSError, TimeoutError) as fault:
            self.env.log.debug("sensors: %s", fault)
        return Look(self._world.load(), self._world.memory(), self._world.swap(), mounts, disks, heat)

    async def _watch(self, within: float) -> None:
        look = await self._look(within)
        self._rates.note(self.env.clock.monotonic(), self._world.traffic())
        before = _meaning(self._parts)
        self._parts = parts_of(look, self.env.settings, self._levels, self._now)
        if _meaning(self._parts) != before:
            self.env.changed()

    async def _slowly(self, what: str, question: Callable[[], T]) -> T:
        try:
            return await self._blocking.ask(what, question, _SLOW)
        except TimeoutError:
            raise Failed(f"the {what} of this host did not answer in {_SLOW:g} s") from None


def _meaning(parts: Mapping[str, Health]) -> Mapping[str, object]:
    """What of the health is news: not that a percentage moved."""
    return {name: (part.level, part.state) for name, part in parts.items()}


def _is_sizeless(said: Answer) -> bool:
    return isinstance(said, Space) and not said.size


def _disk(mount: Mount, said: Answer) -> results.Disk:
    if isinstance(said, Space):
        inodes = None if said.inodes is None else round(said.inodes, 1)
        numbers = (said.size, said.used, said.free, round(said.percent, 1), inodes)
        return results.Disk(mount.path, *numbers, mount.kind, mount.read_only)
    return results.Disk(mount.path, kind=mount.kind, read_only=mount.read_only, note=said.reason)


def _process(task: Task, cpu: float, seconds: float, now: float) -> results.Process:
    used, age = max(0.0, round(100 * cpu / seconds, 1)), max(0.0, float(round(now - task.began)))
    return results.Process(task.pid, task.user, used, task.memory, age, task.name)
