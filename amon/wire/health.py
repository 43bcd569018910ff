"""The `<health>` child of a presence: what is not ok, within a kilobyte, so that a console selects without asking."""

from typing import Annotated

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from amon.wire.codec import WireError

LONGEST_HEALTH = 1024  # bytes
Count = Annotated[int, Meta(ge=0, le=1_000_000)]


class HealthReport(msgspec.Struct, frozen=True):
    """level: word of the worst; ok: how many things are well; bad: [full name, level word, state] worst first.

    more: how many bad things did not fit. modules: what is loaded, for `module:...` targets. What is not named in `bad`
    is ok.
    """

    level: str
    ok: Count
    bad: tuple[tuple[str, str, str], ...] = ()
    more: Count = 0
    modules: tuple[str, ...] = ()


_decoder = msgspec.json.Decoder(HealthReport)


def encode_health(report: HealthReport) -> str:
    """At most `LONGEST_HEALTH` bytes: the least bad things are left out first, then the names of modules."""
    for kept in range(len(report.bad), -1, -1):
        shorter = replace(report, bad=report.bad[:kept], more=report.more + len(report.bad) - kept)
        text = msgspec.json.encode(shorter)
        if len(text) <= LONGEST_HEALTH:
            return text.decode()
    return msgspec.json.encode(replace(shorter, modules=())).decode()


def decode_health(text: str) -> HealthReport:
    """What a presence said; `WireError` for anything else. It is somebody's word: only ever shown and selected on."""
    if len(text) > 4 * LONGEST_HEALTH:
        raise WireError(f"health of {len(text)} characters")
    try:
        return _decoder.decode(text)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as wrong:
        raise WireError(f"not a health report: {str(wrong)[:200]}") from None
