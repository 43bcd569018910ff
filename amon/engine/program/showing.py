"""`amon-engine status`: how a running engine is, in its own words; the exit code says whether it is well."""

import asyncio
import json as json_text
import os
import pwd
import sys
from pathlib import Path

import msgspec

from amon.engine.asking.client import Engine, Times, connect
from amon.engine.messages import Sample, Welcome
from amon.engine.program.configuration import World, load
from amon.errors import Failed, Invalid, Refused
from amon.text import visible
from amon.units import format_quantity

WELL, UNWELL, USAGE, NOT_THERE = 0, 1, 2, 3
WATCHED = 1.0
"""Seconds."""
FEW = 0.001
"""Of what was sent: more that was dropped since the start is a fault, whenever that was."""
LATE = 20_000_000
"""ns: one tick in a hundred this late is more than a busy host."""


def status(config: Path, path: Path | None, tenant: str | None, *, json: bool = False) -> int:
    """Exit code 0: well. 1: something is worth a look. 2: wrong question. 3: no engine there, or it does not answer."""
    try:
        path, tenants = _where(config, path, tenant)
        welcome, before, sample = asyncio.run(_ask(path, tenants))
    except (Refused, Invalid) as error:
        print(f"amon-engine status: {visible(str(error))}", file=sys.stderr)
        return USAGE
    except Failed as error:
        print(f"amon-engine status: {visible(str(error))}", file=sys.stderr)
        return NOT_THERE
    faults = faults_of(before, sample)
    if json:
        data = {**msgspec.to_builtins(sample), "engine": welcome.engine, "faults": faults}
        print(json_text.dumps(data, ensure_ascii=False, indent=2))
    else:
        sys.stdout.write(visible(text_of(welcome, sample, faults)))
    return UNWELL if faults else WELL


def _where(config: Path, path: Path | None, tenant: str | None) -> tuple[Path, list[str]]:
    """The socket, and the tenants to ask for, the likeliest first."""
    if path is not None and tenant is not None:
        return path, [tenant]
    loaded = load(config, World())
    if loaded.settings is None:
        raise Invalid(f"{loaded.problems[0]}; next: amon-engine check --config {config}, or give --socket and --tenant")
    mine = {os.getgid(), *os.getgroups()}
    may = [one.name for one in loaded.accounts if os.getuid() in (0, *one.uids) or mine & one.gids]
    names = [tenant] if tenant else may or list(loaded.settings.tenants)
    return path or loaded.settings.socket, names


async def _ask(path: Path, tenants: list[str]) -> tuple[Welcome, Sample, Sample]:
    refused: Refused | None = None
    for tenant in tenants:
        try:
            async with connect(path, tenant, client=f"status of {_who()}", times=Times(answer=5.0)) as engine:
                return await _both(engine)
        except Refused as error:
            refused = error
    raise refused or Invalid("no tenant is known; next: --tenant NAME")


async def _both(engine: Engine) -> tuple[Welcome, Sample, Sample]:
    """Two samples, so that what goes wrong just now is seen."""
    before = await engine.sample()
    await asyncio.sleep(WATCHED)
    return engine.welcome, before, await engine.sample()


def _who() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def faults_of(before: Sample, sample: Sample) -> list[str]:
    """What keeps it from being well. One drop long ago is told, and no fault."""
    found = []
    if not sample.ways:
        found.append("no way to the network")
    dropped, earlier = sum(sample.drops.values()), sum(before.drops.values())
    if dropped > earlier:
        found.append(f"{dropped - earlier} packets dropped on this host within {WATCHED:g} s")
    elif dropped > FEW * sample.tally.sent:
        found.append(f"{dropped} packets dropped on this host since the start, of {sample.tally.sent} sent")
    if sample.late[1] > LATE:
        found.append(f"ticks are late: one in a hundred by {sample.late[1] / 1e6:.1f} ms")
    return found


def text_of(welcome: Welcome, sample: Sample, faults: list[str]) -> str:
    tally = sample.tally
    rows = [
        ("engine", welcome.engine),
        ("identity", welcome.identity),
        *((f"way {name}", way) for name, way in sample.ways.items()),
        ("limits", f"{welcome.limits.rate:g} packets/s, {format_quantity(welcome.limits.bytes, 'B')}/s, "
                   f"{welcome.limits.in_flight} under way"),
        ("now", f"{sample.sent / sample.span:.0f} sent/s, {sample.received / sample.span:.0f} received/s, "
                f"{sample.jobs} jobs, {sample.targets} targets, {sample.in_flight} under way"),
        ("since start", f"{tally.sent} sent, {tally.answered} answered, {tally.lost} lost, {tally.unreachable} "
                        f"unreachable, {tally.late} late, {tally.skipped} skipped, {tally.unsent} unsent"),
        ("odd", f"{tally.duplicate} duplicate, {tally.forged} forged, {tally.wrong_source} from the wrong source, "
                f"{tally.truncated} truncated, {tally.bad_checksum} with a bad checksum"),
        ("cost", f"{100 * sample.cpu:.1f} % of a core, {format_quantity(sample.memory, 'B')}"),
        ("ticks late", " / ".join(f"{ns / 1e3:.0f}" for ns in sample.late) + " µs (median, 99 %, most)"),
        ("stamps", _stamps(sample)),
        ("waiting", f"{sample.ahead} frames, {format_quantity(sample.queued, 'B')} not read by clients"),
        *(("dropped", f"{count} {name}") for name, count in sample.drops.items() if count),
        *(("note", note) for note in sample.notes),
        *(("NOT WELL", fault) for fault in faults),
    ]  # fmt: skip
    return "".join(f"{name:<12} {text}\n" for name, text in rows if text)


def _stamps(sample: Sample) -> str:
    if sample.stamps is None:
        return sample.stamped_by
    p50, p99 = (f"{ns / 1e3:.1f}" for ns in sample.stamps)
    return f"off by {p50} µs (median), {p99} µs (99 %); {sample.stamped_by}".rstrip("; ")
