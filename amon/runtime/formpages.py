"""What a person sees at each stage of a form. Pure: from a session and what it came to, to records for amon.xmpp.

Each page is shown by every client that was tried (docs/forms.md), each of which leaves something out. While a form
goes on, profanity shows no note, poezio neither note nor instructions, Converse only the first title; so what is wrong
stands in all three. There is never a page without a field then: some show no form, and with it no way to go on.
"""

from collections.abc import Mapping

from amon.command import Command
from amon.command.grammar import title
from amon.runtime.formfields import UNCHOSEN, Given, Known, entries_of, line_of, short
from amon.runtime.formsession import Session
from amon.runtime.formshown import Note, lines_of, note_of, rows_of
from amon.runtime.seals import LONGEST_LIFE
from amon.wire import Ended
from amon.words import Effect, State
from amon.xmpp.commands import Action, Entry, Stage

__all__ = ["Note", "cancelled", "choose", "confirm", "doing", "fields", "refusal", "result", "sign", "unsignable"]

_PLAN = 40  # lines of a plan


def choose(session: Session, commands: Mapping[str, Command], note: Note | None) -> Stage:
    options = (UNCHOSEN, *((name, short(f"{name}: {one.summary}")) for name, one in commands.items()))
    entry = Entry("command", "list-single", "what to do", UNCHOSEN[0], options, required=True)
    return _stage(session, note, "choose a command", (entry,), ("next",))


def fields(session: Session, known: Known, wrong: Mapping[str, str], outcome: Ended | None) -> Stage:
    """outcome: why what was filled in was not taken."""
    command = _command(session)
    note: Note | None = None
    if outcome is not None:
        first = next(((name, said) for name, said in wrong.items()), None)
        note = ("error", f"{first[0].replace('_', '-')}: {first[1]}") if first else note_of(outcome, "")
    actions: list[Action] = ["complete" if command.effect is Effect.read else "next"]
    if session.node == session.instance:
        actions.append("prev")
    entries = entries_of(command, session.given, known, wrong)
    return _stage(session, note, command.summary, entries, tuple(actions))


def confirm(session: Session, note: Note | None = None) -> Stage:
    assert session.plan is not None
    effect, plan = session.plan
    asked = Entry("confirm", "boolean", f"do it: {_name(session)}", "false")
    return _stage(session, note, f"{effect}: this is what would be done", (*_planned(plan), asked), _last(session))


def sign(session: Session, challenge: str, note: Note | None) -> Stage:
    assert session.plan is not None
    effect, plan = session.plan
    how = f"{effect} must be signed within {LONGEST_LIFE / 60:g} min: amon sign, then paste what it prints"
    line = Entry("challenge", "text-single", "the line to sign", challenge)
    asked = Entry("signature", "text-single", "the signature (without the ok)", required=True)
    return _stage(session, note, how, (*_planned(plan), line, asked), _last(session))


def doing(session: Session, how_far: str) -> Stage:
    far = how_far or "it has begun"
    note: Note = ("info", f"still at it: {far}; Next looks again")
    # Profanity has no way to cancel a form: its `/form cancel` is for rooms.
    end = Entry("cancel", "boolean", "end it", "false")
    return _stage(session, note, "Cancel ends it", (*lines_of([f"{_name(session)}: {far}"]), end), ("next",))


def result(session: Session, outcome: Ended) -> Stage:
    typed, said = _typed(session), tuple(session.heard.lines)
    rows = (*lines_of(said, "said"), *rows_of(outcome, typed))
    note = note_of(outcome, _name(session))
    if _command(session).streams:
        rows = (*rows, *lines_of([f"a form shows the beginning only; to go on, type {typed}"], "more"))
    return Stage(session.node, session.id, "completed", note, note[1], "", rows)


def refusal(session: Session, outcome: Ended | None) -> Stage:
    said = note_of(outcome, "") if outcome is not None else ("error", "refused")
    return Stage(session.node, session.id, "completed", said, _name(session))


def unsignable(session: Session) -> Stage:
    text = "it must be signed, and no form shows this line whole; use the console: amon run --sign"
    return Stage(session.node, session.id, "completed", ("error", text), _name(session))


def cancelled(session: Session, outcome: Ended | None) -> Stage:
    """outcome: of what ran already. If that was not stopped any more, it is the result."""
    if outcome is not None and outcome.state != State.cancelled:
        return result(session, outcome)
    note: Note = note_of(outcome, "") if outcome is not None else ("info", "cancelled; nothing was done")
    if session.stage == "doing" and outcome is None:
        note = ("warn", "it is being cancelled; look what it left")
    return Stage(session.node, session.id, "canceled", note)


def _stage(
    session: Session, note: Note | None, text: str, entries: tuple[Entry, ...], actions: tuple[Action, ...]
) -> Stage:
    name = _name(session) if session.command is not None else session.instance
    title = f"{name}: {note[1] if note is not None else text}"
    told = f"{note[1]} -- {text}" if note is not None else text
    return Stage(session.node, session.id, "executing", note, title, told, entries, actions)


def _planned(plan: str) -> tuple[Entry, ...]:
    lines = [line for line in plan.split("\n") if line.strip()]
    more = [f"and {len(lines) - _PLAN} more lines"] if len(lines) > _PLAN else []
    return lines_of([*lines[:_PLAN], *more])


def _last(session: Session) -> tuple[Action, ...]:
    """Done on Enter; back only where there is something to fill in or to choose."""
    can_go_back = bool(_command(session).params) or session.node == session.instance
    return ("complete", "prev") if can_go_back else ("complete",)


def _name(session: Session) -> str:
    return title(session.instance, _command(session))


def _command(session: Session) -> Command:
    assert session.command is not None
    return session.command


def _typed(session: Session) -> str:
    """The line that says the same, without what is secret in it."""
    command = _command(session)
    secret = {param.name for param in command.params if param.secret}
    shown: Given = {name: values for name, values in session.given.items() if name not in secret}
    return line_of(session.instance, command, shown)
