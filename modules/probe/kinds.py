"""The kinds of probe by name. Each is a file of this folder with `Settings` and `measure`."""

from collections.abc import Mapping
from types import ModuleType

from . import dns, http, ntp, ping, tcp, trace, udp
from .shape import Measurement

KINDS: Mapping[str, ModuleType] = {
    "ping": ping, "trace": trace, "dns": dns, "http": http, "tcp": tcp, "udp": udp, "ntp": ntp,
}  # fmt: skip

COUNTS = ("ping", "udp")
"""Those that count packets: what is not good of the others was asked, and perhaps answered, but not lost."""

TIMES = ("rtt_median", "rtt", "connect", "delay", "seconds")
"""The one time that a kind is judged by: the first of these columns that it has."""


def rtt_of(made: Measurement) -> float | None:
    """The one time that a kind is judged by, in seconds: a round trip where it has one, else how long it took."""
    for name in TIMES[:-1]:
        if hasattr(made, name):
            told: float | None = getattr(made, name)
            return told
    return made.seconds if made.state in ("good", "wrong") else None
