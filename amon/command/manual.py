"""Help, made from the declarations: what there is, for this asker, and how one command is used."""

from collections.abc import Callable

from amon.command.answer import cell
from amon.command.complete import choices_of
from amon.command.declare import Command, Param
from amon.command.grammar import AGENT, Offered, title
from amon.convert import Hint, to_data
from amon.units import format_quantity
from amon.words import Effect

Allowed = Callable[[str, Command], bool]


def overview(offered: Offered, allowed: Allowed) -> str:
    """One line per instance with the commands this asker may use."""
    lines = []
    for instance, commands in sorted(offered.items(), key=lambda pair: (pair[0] != AGENT, pair[0])):
        names = [name for name, command in sorted(commands.items()) if allowed(instance, command)]
        if not names:
            continue
        if instance == AGENT or names == [instance]:
            lines.append(" ".join(names))
        else:
            lines.append(f"{instance}: {' '.join(names)}")
    if not lines:
        return "you may ask nothing here; ask the owner of this site for a role"
    return "\n".join([*lines, "help COMMAND tells more"])


def usage(instance: str, command: Command) -> str:
    """The line to type: `service restart NAME [force]`."""
    return " ".join([title(instance, command), *(_form(param) for param in command.params)])


def page(instance: str, command: Command) -> str:
    """The manual of one command: usage, what it does, its parameters, the role it needs."""
    lines = [usage(instance, command), command.summary]
    if command.manual:
        lines.append(command.manual)
    lines += [f"  {param.shown}: {_lettered(param)}".rstrip(": ") for param in command.params]
    if command.streams:
        lines.append(f"goes on telling until you stop it, at most {format_quantity(command.timeout, 's')}")
    needs = f"needs role {command.role}"
    if command.effect is not Effect.read:
        needs += f"; {command.effect}: --dry-run tells what would be done"
    lines.append(needs)
    return "\n".join(lines)


def _lettered(param: Param) -> str:
    """Behind the colon: consoles of every version read names, and which are secret, from what stands before it."""
    return "; ".join(part for part in (f"-{param.short}" if param.short else "", described(param)) if part)


def _form(param: Param) -> str:
    shown = f"--{param.shown}" if param.flag else param.shown.upper() + ("..." if param.many else "")
    return shown if param.required else f"[{shown}]"


def described(param: Param) -> str:
    """What it is, its bounds and what it is else, in one line."""
    parts = [param.about, *_limits(param.item)]
    if not param.required and not any(param.default is nothing for nothing in (None, False, (), "")):
        unit = param.item.field.unit
        parts.append(f"else {'***' if param.secret else cell(to_data(param.default), unit)}")
    if param.secret:
        parts.append("secret")  # consoles look for this word, and write down no line of such a command
    return "; ".join(part for part in parts if part)


def _limits(hint: Hint) -> list[str]:
    found = []
    choices = choices_of(hint)
    if choices:
        found.append("one of " + ", ".join(choices))
    field = hint.field
    if field.least is not None:
        found.append(f"at least {format_quantity(field.least, field.unit or '1')}")
    if field.most is not None:
        found.append(f"at most {format_quantity(field.most, field.unit or '1')}")
    return found
