"""Several engines as one: what they say of themselves, added up. Needs no numpy."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from msgspec import structs

from amon.engine.messages import Denied, Limits, Sample, Tally, Welcome

_NAMES = tuple(field.name for field in structs.fields(Tally))


def tallies(several: Iterable[Tally]) -> Tally:
    every = list(several)
    return Tally(**{name: sum(getattr(one, name) for one in every) for name in _NAMES})


def samples(several: Sequence[Sample]) -> Sample:
    """Of engines that stand side by side, at about the same time. Of what cannot be added, the worst."""
    if len(several) == 1:
        return several[0]
    drops: Counter[str] = Counter()
    for one in several:
        drops.update(one.drops)
    stamps = [one.stamps for one in several if one.stamps is not None]

    def added(name: str) -> int:
        return sum(int(getattr(one, name)) for one in several)

    return Sample(
        at=max(one.at for one in several),
        span=max(one.span for one in several),
        cpu=sum(one.cpu for one in several),
        tally=tallies(one.tally for one in several),
        drops=dict(drops),
        late=_worst3([one.late for one in several]),
        stamps=(max(p50 for p50, _ in stamps), max(p99 for _, p99 in stamps)) if stamps else None,
        stamped_by=", ".join(dict.fromkeys(one.stamped_by for one in several if one.stamped_by)),
        jobs=max(one.jobs for one in several),  # a job stands in each engine that has targets of it
        ways=_ways(one.ways for one in several),
        notes=tuple(dict.fromkeys(note for one in several for note in one.notes)),
        **{name: added(name) for name in ("sent", "received", "memory", "targets", "in_flight", "ahead", "queued")},
    )


def _ways(several: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """By interface; of two engines at one each may have another."""
    found: dict[str, list[str]] = {}
    for one in several:
        for name, way in one.items():
            found.setdefault(name, []).append(way)
    return {name: ", ".join(dict.fromkeys(ways)) for name, ways in found.items()}


def _worst3(several: Sequence[tuple[int, int, int]]) -> tuple[int, int, int]:
    first, second, third = (max(column) for column in zip(*several, strict=True))
    return first, second, third


def welcomes(several: Sequence[Welcome]) -> Welcome:
    """What all of them allow together."""
    if len(several) == 1:
        return several[0]
    limits = Limits(
        rate=sum(one.limits.rate for one in several),
        bytes=sum(one.limits.bytes for one in several),
        in_flight=sum(one.limits.in_flight for one in several),
    )
    return structs.replace(
        several[0],
        engine=" ".join(one.engine for one in several),
        ways=_ways(one.ways for one in several),
        limits=limits,
        notes=tuple(dict.fromkeys(note for one in several for note in one.notes)),
    )


@dataclass(slots=True)
class _Why:
    count: int
    rows: list[int]


def denials(several: Iterable[Denied], most: int = 1000) -> tuple[Denied, ...]:
    """One for each reason."""
    found: dict[str, _Why] = {}
    for one in several:
        why = found.setdefault(one.text, _Why(0, []))
        why.count += one.count
        why.rows += one.rows
    return tuple(Denied(text, why.count, tuple(sorted(why.rows)[:most])) for text, why in found.items())
