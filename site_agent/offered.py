"""What a site offers, known from its configuration without starting anything: instance name to its commands."""

from collections.abc import Iterable, Mapping

from amon.command import commands_of
from amon.command.declare import BadDeclaration, Command
from amon.command.grammar import AGENT
from amon.module import Module
from amon.runtime.auditing import AuditModule
from amon.runtime.node import Spec
from amon.runtime.own import AgentModule
from amon.runtime.upkeep import MaintenanceModule

_OWN: Mapping[str, type[Module[None]]] = {AGENT: AgentModule, "maintenance": MaintenanceModule, "audit": AuditModule}


def offered(specs: Iterable[Spec]) -> dict[str, Mapping[str, Command]]:
    """The agent's own commands, and those of every instance whose module loads."""
    found = {name: commands_of(cls) for name, cls in _OWN.items()}
    for spec in specs:
        if spec.cls is not None:
            try:
                found[spec.name] = commands_of(spec.cls)
            except BadDeclaration:  # its instance shows that in health, and offers nothing
                continue
    return found
