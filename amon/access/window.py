"""When a rule holds: hours of the week in a zone, and an end. Zones: the tz database (tzset(3)), by zoneinfo."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HOURS = re.compile(r"(?:(\w{3})(?:-(\w{3}))?\s+)?(\d\d):(\d\d)-(\d\d):(\d\d)", re.ASCII)
_UNTIL = re.compile(r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d)?)(Z|[+-]\d\d:\d\d)?)?", re.ASCII)
_DAY = 24 * 60


@dataclass(frozen=True, slots=True)
class Span:
    """Hours on some days. days: 0 is Monday. begin, end: minutes since midnight; `end` is of the next day if less."""

    days: frozenset[int]
    begin: int
    end: int

    def holds(self, day: int, minute: int) -> bool:
        if self.begin < self.end:
            return day in self.days and self.begin <= minute < self.end
        before = (day - 1) % 7
        return (day in self.days and minute >= self.begin) or (before in self.days and minute < self.end)


@dataclass(frozen=True, slots=True)
class Window:
    """spans: none is at any hour. until: seconds since the epoch; None is for ever."""

    spans: tuple[Span, ...]
    zone: tzinfo
    until: float | None

    def over(self, now: float) -> bool:
        return self.until is not None and now >= self.until

    def open(self, now: float) -> bool:
        """Whether it holds at `now`, seconds since the epoch."""
        if self.over(now):
            return False
        if not self.spans:
            return True
        there = datetime.fromtimestamp(now, self.zone)
        return any(span.holds(there.weekday(), there.hour * 60 + there.minute) for span in self.spans)


@lru_cache(maxsize=1024)
def window(hours: tuple[str, ...], zone: str, until: str) -> Window:
    """Raises ValueError with what is wrong, in words."""
    place = zone_of(zone)
    return Window(tuple(span_of(one) for one in hours), place, until_of(until, place) if until else None)


def span_of(text: str) -> Span:
    """`Mon-Fri 08:00-18:00`, `Sat 22:00-06:00` (till Sunday), `08:00-18:00` (every day)."""
    found = _HOURS.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} are no hours like 'Mon-Fri 08:00-18:00'")
    first, last, *clock = found.groups()
    begin, end = _minutes(text, clock[0], clock[1]), _minutes(text, clock[2], clock[3])
    if begin in (end, _DAY):
        raise ValueError(f"{text!r} has no time in it; a whole day is 00:00-24:00")
    return Span(_days(text, first, last), begin, end)


def zone_of(name: str) -> tzinfo:
    """A zone by its name, such as Europe/Berlin; UTC needs no tz database."""
    if name == "UTC":
        return UTC
    from zoneinfo import ZoneInfo  # half a megabyte, which a policy without zones does not need

    try:
        return ZoneInfo(name)
    except (ValueError, KeyError, OSError):
        raise ValueError(f"{name[:64]!r} is no time zone known here; write one like Europe/Berlin, or UTC") from None


def until_of(text: str, zone: tzinfo = UTC) -> float:
    """Seconds since the epoch of `2026-12-31` (its end), `2026-12-31T18:00` (in the zone) or with `Z` or `+01:00`."""
    found = _UNTIL.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no date like 2026-12-31 nor a time like 2026-12-31T18:00")
    date, clock, offset = found.groups()
    try:
        if clock is None:
            moment = datetime.fromisoformat(date) + timedelta(days=1)
        else:
            moment = datetime.fromisoformat(f"{date}T{clock}{offset or ''}")
        return (moment if offset else moment.replace(tzinfo=zone)).timestamp()
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is a day or time that does not exist") from None


def shown(moment: float) -> str:
    """A moment for people: `2026-12-31 18:00 UTC`."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _minutes(text: str, hour: str, minute: str) -> int:
    count = int(hour) * 60 + int(minute)
    if int(minute) > 59 or count > _DAY:
        raise ValueError(f"{text!r} has a time that does not exist")
    return count


def _days(text: str, first: str | None, last: str | None) -> frozenset[int]:
    if first is None:
        return frozenset(range(7))
    names = [one.lower() for one in (first, last or first)]
    if unknown := [one for one in names if one not in _DAYS]:
        raise ValueError(f"{text!r}: {unknown[0]!r} is no day; days are Mon Tue Wed Thu Fri Sat Sun")
    begin, end = (_DAYS.index(one) for one in names)
    return frozenset((begin + step) % 7 for step in range((end - begin) % 7 + 1))
