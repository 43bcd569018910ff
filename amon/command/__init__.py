"""What can be asked. `@command` turns a method's signature, hints and docstring into data, once.

Everything else is made from that data: the chat grammar (`grammar`), help and manual (`manual`), completion
(`complete`); and from what the method returns, text, table and JSON (`answer`). A command takes typed values and gives
back a dataclass or a list of them, never text: who shows it decides how.
"""

from amon.command.answer import answer_of
from amon.command.declare import BadDeclaration, Call, Command, Param, command, commands_of
from amon.command.grammar import Ask, Grammar
from amon.command.line import Word, split

__all__ = [
    "Ask",
    "BadDeclaration",
    "Call",
    "Command",
    "Grammar",
    "Param",
    "Word",
    "answer_of",
    "command",
    "commands_of",
    "split",
]
