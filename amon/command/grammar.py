"""From typed words to a checked ask: which instance, which command, which values.

Words are `instance command value... key=value --flag -c 20`. Short forms are taken where only one thing can be meant: a
command that bears its instance's name (`uptime`), a command only one instance has (`restart httpd`), the beginning of a
reading command (`service sta`). What changes something must be typed in full.

A mistake is said with the line it is in, for whoever may read the answer. So of a command with a secret parameter only
words are shown that are known to be none of it, and of a line that leads to no command nothing behind the mistake.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

from amon.command.declare import Command, Param
from amon.command.line import Word, split
from amon.convert import Hint, from_text
from amon.errors import Invalid
from amon.fields import Secret
from amon.text import did_you_mean, nearest
from amon.words import Effect

AGENT = "agent"  # the instance whose commands need no name in front of them
_LEAST = 4  # characters of a secret value that is looked for in what a command says
_OPTION = re.compile(r"-\w")
Offered = Mapping[str, Mapping[str, Command]]


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked for, checked: `args` has a value of the declared type for every parameter."""

    instance: str
    command: Command
    args: Mapping[str, Any] = field(default_factory=dict, repr=False)
    dry_run: bool = False
    hidden: tuple[Secret, ...] = field(default=(), repr=False, compare=False)
    """The values of its secret parameters, so long that no other text holds them by chance."""

    @property
    def name(self) -> str:
        return title(self.instance, self.command)


class Grammar:
    """Reads lines against what the instances offer: instance name to its commands."""

    def __init__(self, offered: Offered) -> None:
        self.offered = offered

    def read(self, line: str) -> Ask:
        """Raises `Invalid`, pointing at the word it means."""
        try:
            words = split(line)
        except Invalid as wrong:
            raise self._unread(line, wrong) from None
        if not words:
            raise Invalid("nothing was asked; try help")
        instance, command, used = self.find(line, words)
        return _Reader(line, instance, command, words[:used]).read(words[used:])

    def _unread(self, line: str, wrong: Invalid) -> Invalid:
        """A mistake in a line that cannot be taken apart, without the line where a secret may stand in it."""
        try:
            words = tuple(Word(text, 0, 0) for text in line[:256].split())
            _, command, _ = self.find("", words)
        except (Invalid, IndexError):
            return Invalid(wrong.message)
        return Invalid(wrong.message) if any(param.secret for param in command.params) else wrong

    def find(self, line: str, words: tuple[Word, ...]) -> tuple[str, Command, int]:
        """Instance, command and how many words named them. Phones begin a line with a capital; it means the same."""
        words = tuple(replace(word, text=word.text.lower()) for word in words[:2])
        first = words[0]
        commands = self.offered.get(first.text)
        if commands is not None:
            return self._of_instance(line, words, commands)
        for instance, command in self._short_forms(first.text):
            return instance, command, 1
        raise self._unknown(line, first)

    def _of_instance(
        self, line: str, words: tuple[Word, ...], commands: Mapping[str, Command]
    ) -> tuple[str, Command, int]:
        instance = words[0].text
        second = words[1] if len(words) > 1 else None
        if second is not None:
            command = commands.get(second.text) or _only_beginning(second.text, commands)
            if command is not None:
                return instance, command, 2
        if instance in commands:
            return instance, commands[instance], 1
        known = ", ".join(commands)
        if second is None:
            raise Invalid(f"{instance} can be asked for: {known}", *_at(line, words[0]))
        if len(meant := _beginnings(second.text, commands)) > 1:
            choices = " or ".join(meant)
            raise Invalid(f"{second.text[:64]!r} could be {choices}; say which", *_at(line, second))
        hint = did_you_mean(second.text, list(commands)) or f"; it has: {known}"
        raise Invalid(f"{instance} has no command {second.text[:64]!r}{hint}", *_at(line, second))

    def _short_forms(self, word: str) -> list[tuple[str, Command]]:
        own = self.offered.get(AGENT, {}).get(word)
        if own is not None:
            return [(AGENT, own)]
        holders = [(instance, commands[word]) for instance, commands in self.offered.items() if word in commands]
        if len(holders) == 1:
            return holders
        beginning = _only_beginning(word, self.offered.get(AGENT, {}))
        return [(AGENT, beginning)] if beginning is not None and not holders else []

    def _unknown(self, line: str, word: Word) -> Invalid:
        holders = [instance for instance, commands in self.offered.items() if word.text in commands]
        if len(holders) > 1:
            choices = " or ".join(f"'{instance} {word.text}'" for instance in holders)
            return Invalid(f"{word.text[:64]!r} could be {choices}; say which", *_at(line, word))
        known = set(self.offered) | {name for commands in self.offered.values() for name in commands}
        hint = did_you_mean(word.text, known) or "; try help"
        return Invalid(f"there is no {word.text[:64]!r} here{hint}", *_at(line, word))


def _at(line: str, word: Word) -> tuple[str, int, int]:
    """The line up to this word: nobody knows yet whether a secret stands behind it."""
    return line[: word.end] + (" ..." if line[word.end :].strip() else ""), word.start, word.end


def title(instance: str, command: Command) -> str:
    """How a command is called: `service restart`; the shortest that is always understood."""
    return command.name if instance in (AGENT, command.name) else f"{instance} {command.name}"


def _beginnings(word: str, commands: Mapping[str, Command]) -> list[str]:
    """The commands that begin so; two letters at least."""
    return [name for name in commands if name.startswith(word)] if len(word) > 1 else []


def _only_beginning(word: str, commands: Mapping[str, Command]) -> Command | None:
    """The one reading command that begins so. Changes are typed in full."""
    meant = _beginnings(word, commands)
    return commands[meant[0]] if len(meant) == 1 and commands[meant[0]].effect is Effect.read else None


class _Reader:
    """Gives each word of one line to the parameter it is meant for. named: the words that named the command."""

    def __init__(self, line: str, instance: str, command: Command, named: tuple[Word, ...] = ()) -> None:
        self.line = line
        self.instance = instance
        self.command = command
        self.values: dict[str, Any] = {}
        self.many: dict[str, list[Word]] = {}
        self.dry_run = False
        self._hides = any(param.secret for param in command.params)
        self._words: tuple[Word, ...] = named
        self._open = set(named)  # words that may be shown whatever comes behind them

    def read(self, words: tuple[Word, ...]) -> Ask:
        self._words += words
        queue = list(words)
        options = True
        while queue:
            word = queue.pop(0)
            if options and not word.quoted and word.text == "--":
                options = False
            elif options and not word.quoted and word.text.startswith("--"):
                self._flag(word, queue)
            elif options and not word.quoted and (param := self.command.lettered(word.text)) is not None:
                self._letter(param, word, queue)
            elif options and not word.quoted and self._is_pair(word):
                name, _, value = word.text.partition("=")
                self._put(self._named(word, name), Word(value, word.start + len(name) + 1, word.end))
            else:
                param = self._next_positional()
                if options and self._is_option(word, param):
                    raise self._no_option(word)
                self._put(param or self._nothing_more(word), word)
        return self._finish()

    def _is_pair(self, word: Word) -> bool:
        name, equals, _ = word.text.partition("=")
        return bool(equals) and name.replace("-", "_").isidentifier()

    def _flag(self, word: Word, queue: list[Word]) -> None:
        name, equals, value = word.text[2:].partition("=")
        if name == "dry-run" and not equals:
            self.dry_run = True
            self._open.add(word)
            return
        if name.startswith("no-") and self.command.param(_python(name)) is None:
            param = self._named(word, name[3:])
            if param.flag and not equals:
                self._set(param, word, False)
                return
        param = self._named(word, name)
        if equals:
            self._put(param, Word(value, word.start + 3 + len(name), word.end))
        elif param.flag:
            self._set(param, word, True)
        elif queue:
            self._open.add(word)
            self._put(param, queue.pop(0))
        else:
            raise self._invalid(f"--{name} needs a value", word.start, word.end)

    def _letter(self, param: Param, word: Word, queue: list[Word]) -> None:
        """`-c 20`, `-c20`, and of a yes or no `-e`."""
        if not param.secret:
            self._open.add(word)
        if param.flag and len(word.text) == 2:
            self._set(param, word, True)
        elif len(word.text) > 2 and not param.flag:
            self._put(param, Word(word.text[2:], word.start + 2, word.end))
        elif queue and not param.flag:
            self._put(param, queue.pop(0))
        else:
            wrong = f"-{param.short} takes no value" if param.flag else f"-{param.short} needs a value"
            raise self._invalid(wrong, word.start, word.end)

    def _named(self, word: Word, name: str) -> Param:
        """The parameter that a word names; what is plainly said for one that is not secret may be shown."""
        param = self._param(word, name)
        if not param.secret:
            self._open.add(word)
        return param

    def _param(self, word: Word, name: str) -> Param:
        param = self.command.param(_python(name))
        if param is None:
            names = [param.shown for param in self.command.params]
            hint = did_you_mean(name, names) or (f"; it takes: {', '.join(names)}" if names else "; it takes nothing")
            # A secret may have an = in it, or begin with --; a near miss of a parameter's name is none.
            near = bool(names) and hint.startswith("; did")
            said = repr(name[:64]) if near or not self._hides else "this"
            if near and "=" not in word.text:
                self._open.add(word)
            raise self._invalid(f"{self._title} takes no {said}{hint}", word.start, word.end)
        return param

    def _next_positional(self) -> Param | None:
        for param in self.command.params:
            if param.name not in self.values and not param.flag:
                return param
        return None

    def _nothing_more(self, word: Word) -> NoReturn:
        takes = "takes nothing more" if self.command.params else "takes nothing"
        said = "a word" if self._hides else repr(word.text[:64])
        raise self._invalid(f"{self._title} {takes}; {said} is left over", word.start, word.end)

    def _is_option(self, word: Word, param: Param | None) -> bool:
        """Whether a word like `-z` was meant for one: of a command with letters always, else where it is no value."""
        if word.quoted or _OPTION.match(word.text) is None or (param is not None and param.secret):
            return False
        if param is None or (word.text[1].isalpha() and any(one.short for one in self.command.params)):
            return True
        if param.item.bare in (int, float) and not word.text[1].isalpha():
            return False  # a number, though perhaps none that is allowed
        try:
            from_text(word.text, param.item)
        except ValueError:
            return True
        return False

    def _no_option(self, word: Word) -> Invalid:
        if self._hides:  # it may be a secret in a wrong place
            said, near = "this", ""
        else:
            said, near = repr(word.text[:64]), _near_option(word.text, self.command.params)
        takes = ", ".join(_as_option(param) for param in self.command.params)
        known = f"t takes: {takes}" if takes else "t takes nothing"
        between = f"; did you mean {near}? I" if near else "; i"
        return self._invalid(f"{self._title} takes no {said}{between}{known}", word.start, word.end)

    def _put(self, param: Param, word: Word) -> None:
        if param.many:
            self.many.setdefault(param.name, []).append(word)
            return
        self._set(param, word, self._value(param, word, param.hint))

    def _value(self, param: Param, word: Word, hint: Hint) -> Any:
        try:
            return from_text(word.text, hint)
        except ValueError as wrong:
            quotes = self._hides and repr(word.text)[:8] in str(wrong)  # maybe a secret in a wrong place
            said = "is not what is expected here" if quotes or _unsaid(param, hint) else wrong
            raise self._wrong(param, said, word) from None

    def _wrong(self, param: Param, wrong: object, word: Word) -> Invalid:
        return self._invalid(f"{param.shown}: {wrong}", word.start, word.end)

    def _set(self, param: Param, word: Word, value: Any) -> None:
        if param.name in self.values:
            raise self._invalid(f"{param.shown} is given twice", word.start, word.end)
        self.values[param.name] = value
        if not param.secret:
            self._open.update(one for one in self._words if one.start <= word.start and word.end <= one.end)

    def _finish(self) -> Ask:
        for param in self.command.params:
            if param.name in self.many:
                self.values[param.name] = self._items(param, self.many[param.name])
        for param in self.command.params:
            if param.name not in self.values:
                if param.required:
                    about = f" ({param.about})" if param.about else ""
                    end = len(self.line)
                    raise self._invalid(f"{self._title} needs {param.shown}{about}", end, end + 1)
                self.values[param.name] = param.default
        in_order = {param.name: self.values[param.name] for param in self.command.params}
        return Ask(self.instance, self.command, in_order, self.dry_run, _hidden(self.command, in_order))

    def _items(self, param: Param, words: list[Word]) -> Any:
        """All words of a list; a word that is not quoted may hold several items, with commas between them."""
        found = []
        for word in words:
            texts = [word.text] if word.quoted else word.text.split(",")
            found += [self._value(param, replace(word, text=text), param.item) for text in texts if text]
        whole = Word("", words[0].start, words[-1].end)
        # `restart ,` or `restart ""` must never mean what a missing list means.
        wrong = param.hint.field.problem(found) if found else "nothing is named here"
        if wrong:
            raise self._wrong(param, wrong, whole)
        return tuple(found) if param.hint.origin is tuple else found

    def _invalid(self, message: str, start: int, end: int) -> Invalid:
        if not self._hides:
            return Invalid(message, self.line, start, end)
        return Invalid(message, *_covered(self.line, [one for one in self._words if one not in self._open], start, end))

    @property
    def _title(self) -> str:
        return title(self.instance, self.command)


def _covered(line: str, words: list[Word], start: int, end: int) -> tuple[str, int, int]:
    """The line with *** for these words, and where the span from `start` to `end` is in it."""
    made, done = "", 0
    for word in words:
        made, done = f"{made}{line[done : word.start]}***", word.end
    first, last = _moved(words, start, 0), _moved(words, end, 3)
    return made + line[done:], first, max(last, first + 1)


def _moved(words: list[Word], place: int, inside: int) -> int:
    """Where a place of the line is when these words are three characters long; `inside` of one that is within."""
    shift = 0
    for word in words:
        if word.start < place < word.end:
            return word.start + shift + inside
        if word.end <= place:
            shift += 3 - (word.end - word.start)
    return place + shift


def _as_option(param: Param) -> str:
    if param.short:
        return f"-{param.short} ({param.shown})"
    return f"--{param.shown}" if param.flag else param.shown


def _near_option(text: str, params: tuple[Param, ...]) -> str:
    """`-c (count)` for -C and -count, and `--name` for the -n that is no letter here; empty if nothing is near."""
    if len(text) == 2:
        other = [one for one in params if one.short == text[1].swapcase()]
        found = other or [one for one in params if not one.short and one.name.startswith(text[1].lower())]
    else:
        names = nearest(text[1:], [one.shown for one in params])
        found = [one for name in names for one in params if one.shown == name]
    return " or ".join(_as_option(one) if one.short else f"--{one.shown}" for one in found[:3])


def _unsaid(param: Param, hint: Hint) -> bool:
    """Whether a message about this word may quote it: an item of a list of secrets need not know that it is one."""
    return param.secret and not (hint.field.secret or hint.bare is Secret)


def _hidden(command: Command, args: Mapping[str, Any]) -> tuple[Secret, ...]:
    """Texts too: whoever declares a parameter secret need not take it as a `Secret`."""
    found = []
    for param in command.params:
        value = args[param.name]
        if param.secret and value is not None:
            found += [
                one if isinstance(one, Secret) else Secret(str(one)) for one in (value if param.many else [value])
            ]
    return tuple(one for one in found if len(one.reveal()) >= _LEAST)


def _python(name: str) -> str:
    return name.replace("-", "_")
