"""What is wrong with a configuration, sorted by what somebody has to mend."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from amon.config import NoSecret, WrongMode
from amon.errors import Problem


class Group(StrEnum):
    """In the order of mending; the value is the heading."""

    file = "file"
    syntax = "syntax"
    settings = "settings"
    secret = "secrets"
    mode = "owners and modes"
    policy = "policy"
    module = "modules"
    names = "import names"
    server = "servers"
    note = "worth a look, not wrong"


@dataclass(frozen=True, slots=True)
class Finding(Problem):
    """One problem. A note is none: it hinders nothing."""

    group: Group = Group.settings


def findings(problems: Iterable[Problem], group: Group, below: str = "") -> list[Finding]:
    """Problems of another room as findings of a group; `below` goes before their paths."""
    return [
        Finding(".".join(part for part in (below, problem.path) if part), problem.text, _group(problem, group))
        for problem in problems
    ]


def _group(problem: Problem, group: Group) -> Group:
    """Of what was found on the way to a secret the kind is known."""
    if isinstance(problem, WrongMode):
        return Group.mode
    return Group.secret if isinstance(problem, NoSecret) else group
