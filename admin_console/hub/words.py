"""What the hub says of a typed line: the verdict, what is not done worst first, equal answers together. Pure.

What sites send is shown, never obeyed: it is made visible and short here, whatever it is.
"""

from collections.abc import Iterable, Sequence

from admin_console.hub.line import CONFIRM_WITHIN, TypedLine
from admin_console.tables import listed, one_line
from amon.ids import code, short
from amon.job.rows import BEST_FIRST
from amon.runtime.proofs import Word
from amon.runtime.spoken import verdict
from amon.text import cut, visible
from amon.units import age
from amon.wire import Ended
from amon.words import Outcome, State

_SAID = 200  # characters of one answer in a summary
_LONGEST = 16_384  # characters of one answer in full
_MOST = 400  # lines


def answered(line: TypedLine) -> str:
    """While it is waited for."""
    return f"{_name(line)}: {line.answered} of {len(line.book)} answered"


def summary(line: TypedLine) -> str:
    """All of it, once the book is closed."""
    if line.untargeted:
        return "\n".join([no_target(line), *_notes(line)])
    ends = [row.outcome for row in line.book.rows() if row.outcome is not None]
    not_done = [one for one in ends if one.state is not State.done]
    done = [one for one in ends if one.state is State.done]
    lines = _together((one.site, _not_done(one)) for one in not_done)
    if done and not not_done and len({one.text for one in done}) == 1 and "\n" in done[0].text.strip():
        lines += [f"{_names([one.site for one in done])}:", *_lines(done[0].text)]
    else:
        lines += _together(((one.site, _done(one)) for one in done), rare_first=True)
        longer = any("\n" in one.text.strip() or one.cut for one in done)
        lines += [f"all they said: details {short(line.typed.id)}, one to one with me"] if longer else []
    return "\n".join([f"{_name(line)}: {counted(line)}", *lines[:_MOST], *_notes(line)])


def question(line: TypedLine, prefix: str) -> str:
    """The plans of those that ask back, and the word for all of them."""
    asking, total, word = line.asking, len(line.book), code(line.typed.id)
    how = f"within {CONFIRM_WITHIN:g} s say {prefix}yes {word} in the room"
    of = f"{len(asking)} of {total} sites" if len(asking) < total else f"all {total} sites" if total > 1 else "one site"
    head = f"{_name(line)} would change {of}: {how}"
    ends = [row.outcome for row in line.book.rows() if row.outcome is not None]
    lines = _together((one.site, _not_done(one)) for one in ends)
    lines += _together((site, _plan(asked.text)) for site, asked in sorted(asking.items()))
    return "\n".join([head, *lines[:_MOST], *_notes(line)])


def late(line: TypedLine, sites: Iterable[str]) -> str:
    """What has come after the summary."""
    found = [line.book[site].outcome for site in sites if site in line.book]
    ends = [one for one in found if one is not None]
    said = _together((one.site, _done(one) if one.state is State.done else _not_done(one)) for one in ends)
    return "\n".join(f"{_name(line)}, later: {text}" for text in said)


def no_target(line: TypedLine) -> str:
    """For a change that nobody said the sites of."""
    names = line.book.names
    how = f"say which, {f'@{names[0]}, ' if names else ''}@tag:NAME=VALUE or @all"
    return f"{_name(line)} would change {len(names)} {_sites(len(names))}: {how}; nothing was done"


def details(line: TypedLine, sites: Sequence[str] = ()) -> str:
    """All that each of them said, equal answers once."""
    ends = [row.outcome for row in line.book.rows() if row.outcome is not None and (not sites or row.site in sites)]
    ends += [one for site, one in line.besides.items() if not sites or site in sites]
    parts = [f"{_name(line)}: {counted(line)}"]
    for text in _together((one.site, f"{one.state}: {_full(one)}") for one in ends):
        first, *more = text.split("\n")
        parts += [first, *(f"  {one}" for one in more)]
    return "\n".join(parts)


def counted(line: TypedLine) -> str:
    """`all 40 done`, or `38 of 40 done, 1 failed, 1 not-here`."""
    counts, total = line.book.counts(), len(line.book)
    done = counts.pop(State.done, 0)
    if not total:
        return "no site of mine is meant"
    if done == total:
        return f"all {total} done" if total > 1 else "done"
    order = (*BEST_FIRST, State.accepted, State.pending)
    others = ", ".join(f"{counts[state]} {state}" for state in order if counts.get(state))
    return (
        f"{done} of {total} done, {others}" if done or len(counts) > 1 else f"{_all(total)}{others.partition(' ')[2]}"
    )


def told_job(line: TypedLine, now: float) -> str:
    """One line for a list of jobs."""
    return f"{short(line.typed.id)}  {line.typed.what}  {counted(line)}, {age(max(0.0, now - line.began))} ago"


def _all(total: int) -> str:
    return f"all {total} " if total > 1 else ""


def _name(line: TypedLine) -> str:
    return f"{line.typed.what} {short(line.typed.id)}"


def _sites(count: int) -> str:
    return "site" if count == 1 else "sites"


def _notes(line: TypedLine) -> list[str]:
    notes = [
        f"besides, {one.site}: {_done(one) if one.state is State.done else _not_done(one)}"
        for one in line.besides.values()
    ]
    forged = [site for site, word in line.unproven.items() if word is Word.forged]
    other = [site for site, word in line.unproven.items() if word is not Word.forged]
    notes += [f"{listed(forged)}: signed, but not by that site's key; not believed"] if forged else []
    notes += [f"{listed(other)}: signed, but as the answer to something else; not believed"] if other else []
    others = line.typed.others
    notes += [f"{listed(others)}: told you themselves, {len(others)} {_sites(len(others))}"] if others else []
    return [*notes, *([line.typed.note] if line.typed.note else [])]


def _together(said: Iterable[tuple[str, str]], *, rare_first: bool = False) -> list[str]:
    """A line for those that say the same, in the order in which it is first said, or what few say first."""
    groups: dict[str, list[str]] = {}
    for site, text in said:
        groups.setdefault(text, []).append(site)
    ordered = sorted(groups.items(), key=lambda group: len(group[1])) if rare_first else groups.items()
    return [f"{_names(names)}: {text}" for text, names in ordered]


def _names(names: Sequence[str]) -> str:
    if len(names) > 4:
        return f"{len(names)} sites ({', '.join(names[:3])}, +{len(names) - 3} more)"
    return ", ".join(names)


def _not_done(outcome: Outcome) -> str:
    state = "" if outcome.state is State.done else f"{outcome.state}: "
    return f"{state}{one_line(_first(outcome.text), _SAID) or 'no word'}"


def _done(outcome: Outcome) -> str:
    said = verdict(Ended(_ANY, outcome.state, outcome.text, outcome.answer.data))
    return one_line(said or _first(outcome.text), _SAID) or "done"


def _first(text: str) -> str:
    return text.strip().partition("\n")[0]


_ANY = "0" * 26  # `verdict` looks at the data only


def _plan(text: str) -> str:
    return "; ".join(_lines(text)[:5])[:600] or "no plan"


def _full(outcome: Outcome) -> str:
    rest = "\n(not all of it; ask the site itself)" if outcome.cut or outcome.whole else ""
    return "\n".join(_lines(outcome.text)) + rest


def _lines(text: str) -> list[str]:
    kept, was_cut = cut(text.strip(), _LONGEST)
    return [*visible(kept).split("\n"), *(["(cut)"] if was_cut else [])]
