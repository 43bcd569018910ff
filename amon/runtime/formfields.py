"""The parameters of a command as fields of a form, and a filled form as the line that means the same.

A form is another way to type: what was filled in becomes a line, which goes the way of all lines. So nothing can be
said by a form that could not be typed, and it is read, judged and written down alike.
Source of the kinds: XEP-0004, 3.3; which of them people see in their clients: docs/forms.md.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Literal

from amon.command.complete import choices_of
from amon.command.declare import Command, Param
from amon.command.grammar import title
from amon.command.manual import described
from amon.convert import Hint, from_text, to_data
from amon.errors import Invalid
from amon.fields import discreet
from amon.text import check_typed, normal_line, visible
from amon.xmpp.commands import Entry

FEW = 20  # values an instance knows that are offered to choose from; of more, a form shows the first
_HINTED = 5
_WIDE = 38  # characters
_LONGEST = 8192  # characters of a value that is given again
_PLAIN = re.compile(r"[A-Za-z0-9_@.:/+-]+")
_YES = frozenset({"1", "true"})  # XEP-0004, 3.3: the lexical space of xs:boolean

UNCHOSEN = ("(none)", "-")
"""What stands in a list before anything is chosen. Clients draw the first as chosen, whether or not it is; profanity
shows no list where nothing is, and ends at an empty value."""

Given = Mapping[str, tuple[str, ...]]
Known = Callable[[Param], Iterable[str]]


def entries_of(command: Command, given: Given, known: Known, wrong: Mapping[str, str]) -> tuple[Entry, ...]:
    """given: what was filled in before; a secret is not shown again. wrong: what is wrong with it, by parameter."""
    return tuple(_entry(param, given.get(param.name), known, wrong.get(param.name, "")) for param in command.params)


def _entry(param: Param, given: tuple[str, ...] | None, known: Known, wrong: str) -> Entry:
    about = described(param)
    label = f"{param.shown}: {about}" if about else param.shown
    if param.many:
        label += " (several: with commas between)"
    pointed = f"{label} <-- {wrong}" if wrong else label
    if param.flag:
        on = param.default is True if given is None else _is_on(given)
        return Entry(param.name, "boolean", pointed, "true" if on else "false")
    if param.secret:
        return Entry(param.name, "text-private", pointed, required=param.required and not given)
    value = ", ".join(given)[:_LONGEST] if given else ""
    words = [] if param.many else _words(param, known)
    if words and len(words) <= FEW:
        return _choice(param, pointed, value, words)
    hint = f" (such as {', '.join(words[:_HINTED])})" if words else ""
    return Entry(param.name, "text-single", pointed + hint, value, required=param.required, number=_number(param.hint))


def _choice(param: Param, label: str, value: str, words: list[str]) -> Entry:
    """One of few. What an instance knows need not be all there is: a value that was given otherwise stays one."""
    default = "" if param.required or param.default is None else str(to_data(param.default))
    value = value or default
    if value and value not in words:
        words = [value, *words]
    options = [(word, short(word)) for word in words]
    if not value:
        options.insert(0, UNCHOSEN)
    return Entry(param.name, "list-single", label, value or UNCHOSEN[0], tuple(options), param.required)


def short(label: str) -> str:
    """Of one option. poezio draws it in the right half of the screen, and nothing of what is wider than that."""
    return label if len(label) <= _WIDE else label[: _WIDE - 1] + "…"


def _words(param: Param, known: Known) -> list[str]:
    words = choices_of(param.item) or [word for word in known(param) if _is_good(word, param.item)]
    return [visible(discreet(word), lines=False) for word in words]


def _is_good(word: str, hint: Hint) -> bool:
    try:
        from_text(word, hint)
    except ValueError:
        return False
    return True


def _number(hint: Hint) -> tuple[Literal["xs:integer", "xs:decimal"], float | None, float | None] | None:
    """Only of what is a bare number: where there is a unit, people write `5 min`."""
    if hint.bare not in (int, float) or hint.field.unit not in (None, "1"):
        return None
    return "xs:integer" if hint.bare is int else "xs:decimal", hint.field.least, hint.field.most


def merged(command: Command, before: Given, values: Given) -> dict[str, tuple[str, ...]]:
    """What is filled in now. A secret that was left empty stays what it was: no client shows it again."""
    made = dict(before)
    for param in command.params:
        if param.name in values and not (param.secret and not any(values[param.name])):
            made[param.name] = values[param.name]
    return made


def line_of(instance: str, command: Command, given: Given) -> str:
    """What would have been typed. Empty fields are as if nothing had been said."""
    words = [title(instance, command)]
    for param in command.params:
        values = given.get(param.name)
        if values is None:
            continue
        if param.flag:
            if _is_on(values) != (param.default is True):
                words.append(f"--{param.shown}" if _is_on(values) else f"--no-{param.shown}")
        else:
            words += [f"{param.shown}={_quoted(value)}" for value in _items(param, values)]
    return " ".join(words)


def faults(command: Command, given: Given) -> dict[str, str]:
    """What is wrong with which field, in words that quote no secret."""
    found = {}
    for param in command.params:
        texts = _items(param, given.get(param.name, ()))
        fault = "" if param.flag else _fault(param, texts)
        if fault:
            found[param.name] = fault
    return found


def _fault(param: Param, texts: list[str]) -> str:
    if not texts:
        return "this is needed" if param.required else ""
    try:
        for text in texts:
            check_typed(text)
            from_text(text, param.item)
    except Invalid as wrong:
        return wrong.message
    except ValueError as wrong:
        return "is not what is expected here" if param.secret else visible(str(wrong), lines=False)
    return (param.hint.field.problem(texts) or "") if param.many else ""


def _items(param: Param, values: tuple[str, ...]) -> list[str]:
    """The texts of one field: several of a list, with commas or line ends between them; else one."""
    if not param.many:
        whole = _normal("\n".join(values))
        return [whole] if whole and whole != UNCHOSEN[0] else []
    return [_normal(item) for value in values for item in value.replace("\n", ",").split(",") if item.strip()]


def _normal(text: str) -> str:
    """As the whole line will be made normal. A dash or quote of a phone must not end the word it is in."""
    try:
        return normal_line(text)
    except Invalid:
        return text  # it is refused, with its reason, as any line would be


def _is_on(values: tuple[str, ...]) -> bool:
    return bool(values) and values[0].strip().lower() in _YES


def is_yes(values: tuple[str, ...]) -> bool:
    """Whether a field of the kind boolean says yes, in any of the ways that a standard has."""
    return _is_on(values)


def _quoted(value: str) -> str:
    """One word of a line, whatever is in it (amon.command.line)."""
    if _PLAIN.fullmatch(value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
