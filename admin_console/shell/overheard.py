"""What `amon run all help service restart` or `amon run cern complete` brings is kept for completion, too."""

from collections.abc import Iterable

from admin_console.cache import Cache
from admin_console.shell.kinds import Kind, page_of
from admin_console.wish import Report
from amon.command import split
from amon.errors import Invalid
from amon.runtime.fleet import Site
from amon.words import State


def overhear(cache: Cache, room: str, sites: Iterable[Site], report: Report) -> None:
    """Nothing is asked for it, and nothing but the names of commands is kept of what was typed."""
    try:
        words = [word.text for word in split(report.job.line)]
    except Invalid:
        return
    if words[:1] not in (["help"], ["complete"]):
        return
    kinds = cache.learnt(room)
    marks = {site.name: site.mark for site in sites if site.mark}
    for row in report.book.rows():
        if row.state is State.done and row.outcome is not None and row.site in marks:
            _hear(kinds.setdefault(marks[row.site], Kind()), words, row.outcome.answer.text)
    cache.learn(room, kinds)


def _hear(kind: Kind, words: list[str], text: str) -> None:
    if words[0] == "complete":
        line = words[1] if len(words) == 2 else ""
        # Of a line that leads to no command sites complete nothing: what stands in it is not known to be a name.
        if len(words) <= 2 and len(line.split()) <= 2 and line[-1:] in ("", " ") and text.strip():
            kind.heard_words(line, text)
        return
    page = page_of(text)
    if page is not None:
        named = [word for word in page.usage.split()[:2] if word.islower() and word[0].isalpha()]
        kind.heard_page(" ".join(named), text)
