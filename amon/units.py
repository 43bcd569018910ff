"""Quantities as people write them, and as amon counts them: seconds, bytes and bits per second, at the edges only.

Sources: ISO 80000-13 and IEC 60027-2 for `KiB` against `kB`; systemd.time(7) for what people are used to typing.
Text is read exactly and written short, to four digits: what `format_quantity` makes of `x` reads back as a value near
`x`, and as exactly `x` for the round numbers of a configuration. Ranges are the business of `Field`; here only nan and
infinity are refused.
"""

import math
import re
from collections.abc import Mapping
from types import MappingProxyType

DIGITS = 4
LONGEST = 100
"""Characters. No honest quantity is longer, and what is longer is not worth reading."""

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0

# What format_quantity writes, smallest first. Longer times are written in parts: `1 h 30 min`.
STEPS: Mapping[str, tuple[tuple[str, float], ...]] = MappingProxyType(
    {
        "s": (("ns", 1e-9), ("us", 1e-6), ("ms", 1e-3), ("s", 1.0)),
        "B": (("B", 1.0), ("KiB", 2.0**10), ("MiB", 2.0**20), ("GiB", 2.0**30), ("TiB", 2.0**40), ("PiB", 2.0**50)),
        "b/s": (("b/s", 1.0), ("kb/s", 1e3), ("Mb/s", 1e6), ("Gb/s", 1e9), ("Tb/s", 1e12)),
    }
)
DECIMAL_BYTES = (("MB", 1e6), ("GB", 1e9), ("TB", 1e12))

_TIME_WORDS = {
    "min": MINUTE, "m": MINUTE, "h": HOUR, "d": DAY, "µs": 1e-6, "μs": 1e-6,
    "sec": 1.0, "secs": 1.0, "second": 1.0, "seconds": 1.0, "mins": MINUTE, "minute": MINUTE, "minutes": MINUTE,
    "hour": HOUR, "hours": HOUR, "day": DAY, "days": DAY,
}  # fmt: skip
_BITS = {"bit/s": 1.0, "kbit/s": 1e3, "Mbit/s": 1e6, "Gbit/s": 1e9, "Tbit/s": 1e12}

# Every word that is read. Bytes and bits mind their case (`Mb` is not `MB`), time does not: phones write `5 Min`.
WORDS: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "s": {**dict(STEPS["s"]), **_TIME_WORDS},
        "B": {**dict(STEPS["B"]), "kB": 1e3, **dict(DECIMAL_BYTES)},
        "b/s": {**dict(STEPS["b/s"]), **_BITS},
        "°C": {"°C": 1.0, "C": 1.0},
        "1": {},
        "": {},
    }
)
EXPECTED: Mapping[str, str] = MappingProxyType(
    {
        "s": "a duration such as '30 s', '5 min' or '1 h 30 min'",
        "B": "a size such as '64 KiB', '10 MB' or '512 B'",
        "b/s": "a rate such as '10 Gb/s' or '500 kb/s'",
        "%": "a percentage such as '90 %'",
        "°C": "a temperature such as '65 °C'",
    }
)

_NUMBER = r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_PART = re.compile(rf"\s*({_NUMBER})\s*([^\W\d_/%°][^\W\d_/]*(?:/s)?|[%°]\w?)?", re.UNICODE)


def expected(unit: str) -> str:
    """What to write for this unit, with an example: the end of every error about it."""
    return EXPECTED.get(unit) or (f"a number of {unit} such as '3 {unit}'" if unit not in ("", "1") else "a number")


def parse_quantity(text: str, unit: str) -> float:
    """`5 min` in unit `s` is 300.0. ValueError says what was expected."""
    parts = _parts(text, unit)
    if len(parts) > 1:
        _check_order(text, unit, parts)
    value = math.fsum(number * size for number, size in parts)
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is too large a number")
    return -value if text.strip().startswith("-") else value


def format_quantity(value: float, unit: str) -> str:
    """300.0 in unit `s` is `5 min`: short, to four digits, and readable by `parse_quantity`."""
    if not math.isfinite(value):
        return f"{value} {unit}".strip()
    sign, size = ("-", -value) if value < 0 else ("", value)
    if unit == "s" and 60 <= float(_number(size)) < 1e15:
        return sign + _long_time(size)
    if unit == "B" and _is_decimal(size):
        return sign + _stepped(size, DECIMAL_BYTES)
    if unit in STEPS:
        return sign + _stepped(size, STEPS[unit])
    return f"{sign}{_number(size)} {'' if unit == '1' else unit}".strip()


def age(seconds: float) -> str:
    """How long ago, or for how long, for people: `45 s`, `8 min`, `2 h 05 min`, `3 d 04 h`. Rounded down."""
    whole = int(max(0.0, seconds)) if math.isfinite(seconds) else 0
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if whole < 60:
        return f"{whole} s"
    if minutes < 60:
        return f"{minutes} min"
    if hours < 24:
        return f"{hours} h {minutes % 60:02} min"
    return f"{days} d {hours % 24:02} h" if days < 100 else f"{days} d"


def _parts(text: str, unit: str) -> list[tuple[float, float]]:
    """Pairs of number and the size of its unit, as written."""
    if len(text) > LONGEST:
        raise ValueError(f"expected {expected(unit)}, not {len(text)} characters")
    body = text.strip()
    body = body[1:] if body[:1] in ("+", "-") else body
    found: list[tuple[float, float]] = []
    position = 0
    while position < len(body):
        match = _PART.match(body, position)
        if match is None:
            raise ValueError(f"expected {expected(unit)}, not {text!r}")
        found.append((float(match[1]), _size(match[2] or "", unit)))
        position = match.end()
    if not found or (len(found) > 1 and _is_bare(body)):
        raise ValueError(f"expected {expected(unit)}, not {text!r}")
    return found


def _is_bare(body: str) -> bool:
    """Whether one of several numbers has no unit: `1 h 30` may mean minutes or seconds."""
    return any(not match[2] for match in _PART.finditer(body))


def _size(word: str, unit: str) -> float:
    if word in ("", unit):
        return 1.0
    words = WORDS.get(unit, {})
    if unit == "s":
        word = word if word in words else word.lower()
    if word in words:
        return words[word]
    near = next((known for known in words if known.lower() == word.lower()), None)
    hint = f"; did you mean {near}?" if near else f"; expected {expected(unit)}"
    raise ValueError(f"{word!r} is not a unit of this quantity{hint}")


def _check_order(text: str, unit: str, parts: list[tuple[float, float]]) -> None:
    """Only times are written in several parts, and large parts come first: `30 min 1 h` is likely a slip."""
    sizes = [size for _, size in parts]
    if unit != "s" or sizes != sorted(set(sizes), reverse=True):
        raise ValueError(f"expected {expected(unit)}, not {text!r}")


def _number(value: float) -> str:
    """Four digits, but no whole digit rounded away: 93784 stays 93784. Exponents only where nothing else is short."""
    if value == 0:
        return "0"
    if not 1e-6 <= value < 1e15:
        return f"{value:.{DIGITS}g}"
    decimals = max(0, DIGITS - 1 - math.floor(math.log10(value)))
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _stepped(value: float, steps: tuple[tuple[str, float], ...]) -> str:
    """In the largest unit that leaves at least 1. Rounding comes first: 999.96 kb/s is `1 Mb/s`, not `1000 kb/s`."""
    chosen = 0
    while chosen + 1 < len(steps):
        here, above = steps[chosen][1], steps[chosen + 1][1]
        if float(_number(value / here)) < above / here:
            break
        chosen += 1
    name, size = steps[chosen] if value else next(step for step in steps if step[1] == 1.0)
    return f"{_number(value / size)} {name}"


def _is_decimal(value: float) -> bool:
    """Whole megabytes are somebody's choice, never a measurement, and are said back as they were written."""
    return value >= 1e6 and value % 1e6 == 0 and value % 2**20 != 0


def _long_time(value: float) -> str:
    hundredths = round(float(_number(value)) * 100)
    days, hundredths = divmod(hundredths, 8_640_000)
    hours, hundredths = divmod(hundredths, 360_000)
    minutes, hundredths = divmod(hundredths, 6_000)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (hundredths / 100, "s")]
    return " ".join(f"{number:g} {name}" if name == "s" else f"{number} {name}" for number, name in parts if number)
