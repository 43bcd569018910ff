"""What is different between the configuration that runs and the one that is wanted. Pure.

Only what changed is stopped and started: an instance whose module or settings differ, an account whose login differs.
What an account shows and whom it obeys changes without a new login.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from amon.errors import Problem
from site_agent.configuration import AccountPlan, Configuration


@dataclass(frozen=True, slots=True)
class Changes:
    """Names, in the order of the file. `later`: what is only taken at the next start, each with what to do."""

    stop_instances: tuple[str, ...] = ()
    start_instances: tuple[str, ...] = ()
    stop_accounts: tuple[str, ...] = ()
    start_accounts: tuple[str, ...] = ()
    update_accounts: tuple[str, ...] = ()
    log: bool = False
    audit: bool = False
    later: tuple[Problem, ...] = ()

    def __bool__(self) -> bool:
        return self != Changes()

    def __str__(self) -> str:
        """`instances: stopped old, restarted web; accounts: updated main`."""
        said = [
            _said("instances", self.stop_instances, self.start_instances, ()),
            _said("accounts", self.stop_accounts, self.start_accounts, self.update_accounts),
            "level of the log" if self.log else "",
            "where the audit goes" if self.audit else "",
            *(f"not before a restart: {problem}" for problem in self.later),
        ]
        return "; ".join(part for part in said if part) or "nothing is different"


def difference(old: Configuration, new: Configuration) -> Changes:
    """What has to happen so that `old` becomes `new`."""
    stop_instances, start_instances = _replaced(
        {spec.name: (spec.kind, spec.cls, spec.settings, spec.reason) for spec in old.specs},
        {spec.name: (spec.kind, spec.cls, spec.settings, spec.reason) for spec in new.specs},
    )
    stop_accounts, start_accounts = _replaced(_logins(old), _logins(new))
    shown_before, shown = _shown(old), _shown(new)
    updated = [name for name in shown if name not in start_accounts and shown[name] != shown_before[name]]
    return Changes(
        stop_instances,
        start_instances,
        stop_accounts,
        start_accounts,
        tuple(updated),
        log=old.settings.log != new.settings.log,
        audit=old.settings.audit_to != new.settings.audit_to,
        later=tuple(_later(old, new)),
    )


def _replaced(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names to stop and names to start; what changed is in both."""
    stop = tuple(name for name in old if name not in new or new[name] != old[name])
    start = tuple(name for name in new if name not in old or new[name] != old[name])
    return stop, start


def _logins(configuration: Configuration) -> dict[str, Any]:
    """What a session stands on. The trace of stanzas is given to a connection when it is made."""
    trace = configuration.settings.trace
    return {
        plan.name: (plan.login, plan.ca_file, plan.trust, plan.keep, plan.signing, trace)
        for plan in configuration.accounts
    }


def _shown(configuration: Configuration) -> dict[str, Any]:
    def of(plan: AccountPlan) -> tuple[Any, ...]:
        return plan.law, plan.revealed, plan.prefix, configuration.settings.tags

    return {plan.name: of(plan) for plan in configuration.accounts}


def _later(old: Configuration, new: Configuration) -> list[Problem]:
    if old.settings.state == new.settings.state:
        return []
    return [Problem("state", f"stays {old.settings.state} until the agent is restarted: instances keep files there")]


def _said(what: str, stop: tuple[str, ...], start: tuple[str, ...], updated: tuple[str, ...]) -> str:
    parts = {
        "stopped": [name for name in stop if name not in start],
        "restarted": [name for name in stop if name in start],
        "started": [name for name in start if name not in stop],
        "updated": list(updated),
    }
    told = ", ".join(f"{verb} {' '.join(names)}" for verb, names in parts.items() if names)
    return f"{what}: {told}" if told else ""
