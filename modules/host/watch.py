"""From what was seen of the host to the parts of its health. Pure: time and memory are handed in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from amon.health import Health, Level

from .disks import Answer, Silence, part_names
from .limits import Levels
from .results import Moment
from .settings import Limits, Settings
from .world import Heat, Load, Mount, Room, Space

# What a sensor that is broken or not wired says is far outside of this: -273, 127.5, 255.
_COLDEST, _HOTTEST = -40.0, 125.0


@dataclass(frozen=True, slots=True)
class Look:
    """The host at one moment; disks: by path. A sensor chip that does not answer gives no heat."""

    load: Load
    memory: Room
    swap: Room | None
    mounts: Sequence[Mount]
    disks: Mapping[str, Answer]
    heat: Sequence[Heat]

    @property
    def load_per_core(self) -> float:
        """Over five minutes: a compiler's half minute is no trouble."""
        return self.load.minutes[1] / self.load.cores

    @property
    def hottest(self) -> Heat | None:
        sane = [heat for heat in self.heat if _COLDEST < heat.celsius < _HOTTEST]
        return max(sane, key=lambda heat: heat.celsius, default=None)

    @property
    def fullest(self) -> tuple[str, Space] | None:
        """Of what can be written to."""
        writable = {mount.path for mount in self.mounts if not mount.read_only}
        spaces = [(path, said) for path, said in self.disks.items() if isinstance(said, Space) and path in writable]
        return max(spaces, key=lambda pair: pair[1].percent, default=None)

    @property
    def silent(self) -> tuple[str, ...]:
        return tuple(path for path, said in self.disks.items() if isinstance(said, Silence) and said.counts)


def parts_of(look: Look, settings: Settings, levels: Levels, now: float) -> Mapping[str, Health]:
    """The parts of health that are watched. Everything there is has a part, also when it is well."""
    judge = _Judge(levels, now)
    parts: dict[str, Health] = {}
    if "load" in settings.watch:
        load = look.load_per_core
        parts["load"] = judge.value("load", load, settings.load, "high", f"{load:.1f} per core")
    if "memory" in settings.watch:
        used = look.memory.percent
        parts["memory"] = judge.value("memory", used, settings.memory, "high", f"{used:.0f} % used")
    if "swap" in settings.watch and look.swap is not None:
        used = look.swap.percent
        parts["swap"] = judge.value("swap", used, settings.swap, "high", f"{used:.0f} % used")
    if "temperature" in settings.watch and look.hottest is not None:
        hot = look.hottest
        text = f"{hot.celsius:.0f} °C ({hot.sensor})"
        parts["temperature"] = judge.value("temperature", hot.celsius, settings.temperature, "hot", text)
    if "disk" in settings.watch:
        parts.update(_disks(look, settings, judge))
    levels.keep_only(judge.judged)
    return parts


def moment(look: Look, parts: Mapping[str, Health], now: float) -> Moment:
    """What is told of it to who watches. now: epoch seconds."""
    name, worst = max(parts.items(), key=lambda pair: pair[1].level, default=("", Health.good()))
    is_well = worst.level is Level.ok
    return Moment(
        at=datetime.fromtimestamp(now, UTC).strftime("%H:%M:%SZ"),
        load=round(look.load.minutes[0] / look.load.cores, 2),
        memory=round(look.memory.percent, 1),
        level=worst.level.word,
        worst="" if is_well else f"{name} {worst.state}: {worst.text}",
    )


def _disks(look: Look, settings: Settings, judge: "_Judge") -> Mapping[str, Health]:
    parts: dict[str, Health] = {}
    names = part_names(mount.path for mount in look.mounts)
    for mount in look.mounts:
        said = look.disks[mount.path]
        limits = settings.mounts.get(mount.path, settings.disk)
        # What is read-only is as full as it was made.
        if isinstance(said, Space) and said.size and not mount.read_only:
            parts[names[mount.path]] = judge.disk(names[mount.path], said, limits)
        elif isinstance(said, Silence) and said.counts:
            parts[names[mount.path]] = judge.silence(names[mount.path], said)
    return parts


class _Judge:
    """Makes parts, and knows what it has judged."""

    def __init__(self, levels: Levels, now: float) -> None:
        self._levels = levels
        self._now = now
        self.judged: set[str] = set()

    def value(self, name: str, value: float, limits: Limits, state: str, text: str) -> Health:
        self.judged.add(name)
        level = self._levels.judge(name, value, limits.warn, limits.crit, self._now)
        return self._health(name, level, state, text)

    def disk(self, name: str, said: Space, limits: Limits) -> Health:
        """As bad as the worse of its space and its inodes."""
        texts = {f"{name} space": f"{said.percent:.0f} % full"}
        levels = {f"{name} space": said.percent}
        if said.inodes is not None:
            texts[f"{name} inodes"] = f"{said.inodes:.0f} % of inodes used"
            levels[f"{name} inodes"] = said.inodes
        self.judged |= {name, *levels}
        judged = {
            what: self._levels.judge(what, value, limits.warn, limits.crit, self._now) for what, value in levels.items()
        }
        worst = max(judged, key=lambda what: judged[what])
        return self._health(name, self._levels.note(name, judged[worst], self._now), "full", texts[worst])

    def silence(self, name: str, said: Silence) -> Health:
        self.judged.add(name)
        level = self._levels.note(name, Level.unknown, self._now)
        return self._health(name, level, "no-answer", said.reason)

    def _health(self, name: str, level: Level, state: str, text: str) -> Health:
        if level is Level.ok:
            return Health.good(text)
        return Health(level, text, state, self._levels.since(name))
