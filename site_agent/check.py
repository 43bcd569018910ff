"""`amon-agent check`: every problem of a configuration at once, the servers really asked, each with the next step."""

import asyncio
import json
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from amon.clock import Clock, SystemClock
from amon.text import visible
from amon.xmpp.faults import Unreachable
from amon.xmpp.login import Times
from amon.xmpp.tls import tls_context
from amon.xmpp.visit import VISIT_TIMES, visiting
from site_agent.certificates import own_findings, server_finding
from site_agent.configuration import Loaded, World, load
from site_agent.findings import Finding, Group
from site_agent.names import name_findings
from site_agent.plans import AccountPlan

_WITHIN = 90.0  # seconds for one account with all its rooms

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Report:
    """What was looked at and what was found. accounts: name to what was seen of it working.

    instances: those that are in order. faulty: those that are not.
    """

    path: Path
    found: tuple[Finding, ...]
    instances: tuple[str, ...] = ()
    faulty: tuple[str, ...] = ()
    accounts: dict[str, str] = field(default_factory=dict)

    @property
    def problems(self) -> list[Finding]:
        return [one for one in self.found if one.group is not Group.note]

    def text(self) -> str:
        """For people: grouped in the order of mending."""
        lines = []
        order = list(Group)
        for group, members in groupby(sorted(self.found, key=lambda one: order.index(one.group)), lambda f: f.group):
            lines.append(f"{group}:")
            for one in members:
                lines += [f"  {line}" for line in str(one).split("\n")]
            lines.append("")
        count = len(self.problems)
        ends = {0: "no problems", 1: "1 problem"}.get(count, f"{count} problems")
        lines += [f"account.{name}: {seen}" for name, seen in self.accounts.items()]
        faulty = f"; not in order: {', '.join(self.faulty)}" if self.faulty else ""
        lines.append(f"{self.path}: {ends}; instances: {', '.join(self.instances) or 'none'}{faulty}")
        return visible("\n".join(lines)) + "\n"

    def json(self) -> str:
        def plain(one: Finding) -> dict[str, Any]:
            return {"group": one.group.name, "path": one.path, "text": one.text}

        data = {
            "file": str(self.path),
            "ok": not self.problems,
            "problems": [plain(one) for one in self.problems],
            "notes": [plain(one) for one in self.found if one.group is Group.note],
            "accounts": self.accounts,
            "instances": list(self.instances),
            "faulty_instances": list(self.faulty),
        }
        return json.dumps(data, ensure_ascii=False, indent=2) + "\n"


async def check(
    path: Path,
    world: World,
    *,
    offline: bool = False,
    progress: Progress = lambda text: None,
    names: Callable[[], list[Finding]] = name_findings,
    times: Times = VISIT_TIMES,
    clock: Clock | None = None,
) -> Report:
    """Looks at the file, the modules, the names and, unless `offline`, at the servers."""
    progress(f"reading {path}")
    loaded = load(path, world)
    found = loaded.found + _unloadable(loaded) + names()
    now = (clock or SystemClock()).time()
    for plan in loaded.accounts:
        found += _own(plan, now)
    seen: dict[str, str] = {}
    if not offline:
        visits = (_visit(plan, times, progress, now) for plan in loaded.accounts)
        for plan, (text, faults) in zip(loaded.accounts, await asyncio.gather(*visits), strict=True):
            found += faults
            if text:
                seen[plan.name] = text
    faulty = {*loaded.faulty(), *(spec.name for spec in loaded.specs if spec.cls is None)}
    good, bad = ([name for name in loaded.names if (name in faulty) is wanted] for wanted in (False, True))
    return Report(path, tuple(found), tuple(good), tuple(bad), seen)


def _unloadable(loaded: Loaded) -> list[Finding]:
    """An agent runs without them; whoever asks wants to know."""
    return [Finding(f"instance.{spec.name}", spec.reason, Group.module) for spec in loaded.specs if spec.cls is None]


def _own(plan: AccountPlan, now: float) -> list[Finding]:
    own = plan.login.certificate
    return [] if own is None else own_findings(f"account.{plan.name}", plan.login.jid, own, now)


async def _visit(plan: AccountPlan, times: Times, progress: Progress, now: float) -> tuple[str, list[Finding]]:
    """What worked, and what did not."""
    path = f"account.{plan.name}"
    login = plan.login
    found: list[Finding] = []
    text = ""
    progress(f"{path}: logging in at {login.host or login.domain}")
    try:
        async with (
            asyncio.timeout(_WITHIN),
            visiting(login, await asyncio.to_thread(_context, plan), times=times) as visit,
        ):
            text = f"logged in as {login.jid}"
            found += server_finding(path, login.host or login.domain, visit.certificate_ends, now)
            for place, room in enumerate(login.rooms):
                progress(f"{path}: looking into {room}")
                fault = await visit.room_fault(room)
                if fault:
                    found.append(Finding(f"{path}.rooms[{place}]", f"{room} {fault}", Group.server))
    except Unreachable as error:
        found.append(Finding(path, error.fault.text, Group.server))
    except TimeoutError:
        found.append(Finding(path, f"the server took longer than {_WITHIN:g} s; try again", Group.server))
    whole = text and login.rooms and not any(one.group is not Group.note for one in found)
    return (f"{text}, into {', '.join(login.rooms)}" if whole else text), found


def _context(plan: AccountPlan) -> ssl.SSLContext:
    return tls_context(plan.ca_file, plan.login.certificate, plan.login.certificate_key)
