"""One line that somebody typed for many sites, and its book: what each of them made of it. `now` is passed in.

A row is for each site that is meant, belongs to the room and lets this hub gather. A site that thinks that it is meant
though we did not is told of besides. What sites send is believed for their own row only.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from amon.job import Book
from amon.runtime.delivery import outcome_of
from amon.runtime.gathered import ASKING
from amon.runtime.mailbox import Letter
from amon.runtime.proofs import Word
from amon.runtime.spoken import Reach
from amon.wire import Accepted, Ended, NeedsWord
from amon.words import Answer, Outcome, State

CONFIRM_WITHIN = 50.0  # seconds; sites take a yes for 60, and the slowest were waited for before it was asked
GRACE = 2.0
ACCEPT_BY, DEADLINE = 5.0, 30.0  # seconds, as a site has them for what was typed
_MOST_BESIDES = 50
_NOBODY = "nobody said yes; nothing was done"
_NO_TARGET = "no sites were named; nothing was done"
_SIGN = "must be signed; nothing was done; use the console: amon run --sign"


@dataclass(frozen=True, slots=True)
class Typed:
    """What was said. asker: bare address; to: his full one. what: the first word, in which there is no secret.

    asked: digest of it, which a signed answer must name. others: sites that are meant and answer for themselves.
    """

    id: str
    asker: str
    to: str
    room: str
    what: str
    reach: Reach
    asked: str
    others: tuple[str, ...] = ()
    note: str = ""


class TypedLine:
    """The book of one. asking: plans of sites that wait for a yes. besides: answers of sites that are not in the book.

    told: what each site said last that its asker has not been told, as `Gathered` names it.
    """

    def __init__(self, typed: Typed, names: Iterable[str], online: Iterable[str], now: float) -> None:
        self.typed = typed
        self.began = now
        self.book = Book(typed.id, sorted(names), now, ACCEPT_BY, DEADLINE, GRACE)
        self.asking: dict[str, NeedsWord] = {}
        self.besides: dict[str, Outcome] = {}
        self.unproven: dict[str, Word] = {}
        self.told: dict[str, str] = {}
        self.confirmed = False
        self.untargeted = False  # it would change something, and no sites were named
        here = set(online)
        for name in self.book.names:
            if name not in here:
                self.book.offline(name, now)

    def enter(self, letter: Letter, known: bool) -> None:
        """Write one letter into the book. known: whether it is of a site of the fleet; others are nobody here."""
        site, payload = letter.site, letter.payload
        if not known:
            return
        if letter.word in (Word.forged, Word.other) or (
            letter.word is Word.signed and letter.asked != self.typed.asked
        ):
            self.unproven[site] = Word.forged if letter.word is Word.forged else Word.other
        elif payload is None:
            if letter.gone:
                self.book.gone(site, letter.at)
        elif site not in self.book:
            if isinstance(payload, Ended) and (site in self.besides or len(self.besides) < _MOST_BESIDES):
                self.besides[site] = outcome_of(site, payload)
                self.told[site] = payload.state
        elif isinstance(payload, Accepted):
            self.book.accepted(site, letter.at)
        elif isinstance(payload, NeedsWord):
            self._asks_back(site, payload, letter.at)
        elif isinstance(payload, Ended):
            self.asking.pop(site, None)
            self.told[site] = payload.state
            self.book.ended(outcome_of(site, payload), letter.at)

    def _asks_back(self, site: str, payload: NeedsWord, at: float) -> None:
        self.told[site] = ASKING
        if self.confirmed or self.book[site].state.ended:
            return
        if payload.signature or self.typed.reach is Reach.unsaid:
            # Nothing that is said here makes the site do it: that is its end.
            self.untargeted = self.typed.reach is Reach.unsaid
            why = _SIGN if payload.signature else _NO_TARGET
            self.asking.pop(site, None)
            self.book.ended(Outcome(site, State.refused, Answer(why)), at)
        else:
            self.asking[site] = payload
            self.book.hold(site, at)

    def confirm(self, now: float) -> None:
        """He said the word in the room: those that asked back are at it now."""
        self.confirmed = True
        for site in self.asking:
            self.book.ask(site, now)
        self.asking.clear()

    def decline(self, now: float) -> None:
        for site in self.asking:
            self.book.skip(site, now, _NOBODY)
        self.asking.clear()

    def tick(self, now: float) -> None:
        self.book.tick(now)

    @property
    def settled(self) -> bool:
        """Nothing is open but questions."""
        return self.book.closed or (bool(self.asking) and self._open == len(self.asking))

    @property
    def answered(self) -> int:
        return len(self.book) - self._open + len(self.asking)

    @property
    def _open(self) -> int:
        return self.book.tally.get(State.pending, 0) + self.book.tally.get(State.accepted, 0)

    @property
    def may_change(self) -> bool:
        """Whether something may still come that puts a row right."""
        open_ends = (State.running, State.silent, State.lost, State.not_here)
        return any(self.book.tally.get(state) for state in open_ends)

    def take_told(self) -> dict[str, str]:
        """What sites have told since, for whoever has now said it on."""
        told, self.told = self.told, {}
        return told
