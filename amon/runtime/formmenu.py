"""Which commands somebody may ask for, as nodes of XEP-0050: each one who asks has a list of his own.

Clients show a list flat, by node or by name, and take every node for a command (tried: docs/forms.md). So a long list
is not made of lists, but of instances that begin with the choice of a command.
"""

from amon.access import Decision, Wanted
from amon.clock import Clock
from amon.command import Command
from amon.command.grammar import AGENT, Offered, title
from amon.runtime.incoming import Door
from amon.words import Asker
from amon.xmpp.commands import About
from amon.xmpp.names import COMMANDS

_FEW = 12  # commands that are listed singly
_FOR_PROGRAMS = frozenset({"complete"})  # of the agent's own


def decide(door: Door, asker: Asker, instance: str, command: Command, clock: Clock) -> Decision:
    """Whether he may ask for it at all now, with one value or another."""
    wanted = Wanted(instance, command.name, command.role, command.effect, some=True)
    return door.authority.decide(asker, wanted, clock.time())


def may(door: Door, asker: Asker, instance: str, command: Command, clock: Clock) -> bool:
    """The same, signed or not."""
    decision = decide(door, asker, instance, command, clock)
    return decision.allowed or decision.sign


def allowed(door: Door, asker: Asker, offered: Offered, clock: Clock) -> dict[str, dict[str, Command]]:
    """By instance, those that have any; the agent's own first."""
    found = {}
    for instance, commands in sorted(offered.items(), key=lambda pair: (pair[0] != AGENT, pair[0])):
        mine = {name: one for name, one in commands.items() if may(door, asker, instance, one, clock)}
        if instance == AGENT:
            mine = {name: one for name, one in mine.items() if name not in _FOR_PROGRAMS}
        if mine:
            found[instance] = mine
    return found


def nodes(mine: dict[str, dict[str, Command]]) -> tuple[tuple[str, str], ...]:
    """Node and name of every command, or where there are many one node for each instance."""
    many = sum(map(len, mine.values())) > _FEW
    made: list[tuple[str, str]] = []
    for instance, commands in mine.items():
        if many and instance != AGENT and len(commands) > 1:
            made.append((instance, f"{instance}: {', '.join(commands)}"))
        else:
            made += [(title(instance, one), f"{title(instance, one)}: {one.summary}") for one in commands.values()]
    return tuple(made)


def about(node: str, mine: dict[str, dict[str, Command]]) -> About | None:
    """One node; None where he has none of that name."""
    if node == COMMANDS:
        return About("what you may ask for", is_list=True)
    for instance, commands in mine.items():
        if any(node == title(instance, one) for one in commands.values()) or node == instance:
            return About(node)
    return None


def find(node: str, offered: Offered) -> tuple[str, Command | None]:
    """Instance and command of a node; of a whole instance only that; neither if it is none."""
    for instance, commands in offered.items():
        for command in commands.values():
            if node == title(instance, command):
                return instance, command
    return (node, None) if node in offered else ("", None)
