"""What a policy sees of a request that was understood: the command, its effect, and every argument as text."""

from amon.access import Wanted
from amon.command import Ask
from amon.convert import to_data
from amon.fields import Secret


def wanted_of(ask: Ask) -> Wanted:
    """The arguments as texts, one for each item of a list, as a policy's patterns see them."""
    command, args = ask.command, {}
    for param in command.params:
        value = ask.args[param.name]
        items = () if value is None else value if param.many else (value,)
        args[param.name] = tuple(_text_of(item) for item in items)
    return Wanted(ask.instance, command.name, command.role, command.effect, args)


def _text_of(value: object) -> str:
    """`restart`, `5`, `true`: as it would be typed."""
    plain = value.reveal() if isinstance(value, Secret) else to_data(value)
    return str(plain).lower() if isinstance(plain, bool) else str(plain)
