"""What an admin wants of whom, the sites that are meant, and how it ended."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from admin_console.session import Session
from admin_console.tables import MOST_LISTED, shared_names
from amon.errors import Refused
from amon.job import PRECEDENCE, Book, ExitCode, Plan, parse_share, sample
from amon.runtime.fleet import Site
from amon.runtime.gather import Job
from amon.runtime.proofs import Word
from amon.target import Expression, select, unknown_names
from amon.target.expression import PartState, Tagged


class NobodyMeant(Refused):
    """The target is in order and fits no site; nothing was sent."""


@dataclass(frozen=True, slots=True)
class Rolling:
    """How a job goes through many sites, as it is typed; a `Plan` is made of it when the sites are known.

    batch, limit, max_failures: a number of sites, or `10%` of them. seed: of the lot that `limit` draws; None: any.
    splay, within: seconds. slots: a name and how many sites may be in it at once, whoever asks.
    """

    batch: str = ""
    canary: int = 0
    max_failures: str = ""
    limit: str = ""
    seed: int | None = None
    splay: float = 0.0
    within: float | None = None
    slots: tuple[str, int] | None = None

    def names(self, names: Sequence[str], seed: int) -> tuple[str, ...]:
        """Those of the names that are asked at all."""
        return sample(names, parse_share(self.limit, len(names)), seed) if self.limit else tuple(names)

    def plan(self, sites: int, seed: int) -> Plan:
        """For so many sites."""
        batch = parse_share(self.batch, sites) if self.batch else 0
        failures = parse_share(self.max_failures, sites, 0) if self.max_failures else None
        return Plan(batch, self.canary, failures, self.splay, self.within, seed)


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked of whom. Times in seconds. yes: said already. sign: from the first message on.

    queue_until: epoch seconds; sites that are offline are asked when they come back, until then. lasts: seconds after
    their first words that sessions are ended; None: until somebody stops them.
    """

    target: Expression
    line: str
    deadline: float = 30.0
    accept_by: float = 5.0
    dry_run: bool = False
    yes: bool = False
    sign: bool = False
    rolling: Rolling = Rolling()
    queue_until: float | None = None
    lasts: float | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """How it ended. `exit` is the book's code, unless nobody could be asked for a yes.

    words: how far the answer of each site is to be trusted whose key is known.
    """

    wish: Wish
    job: Job
    book: Book
    exit: ExitCode
    words: Mapping[str, Word] = field(default_factory=dict)


async def chosen(session: Session, target: Expression) -> tuple[str, ...]:
    """The sites that are meant, frozen from now on. `NobodyMeant` for a name that is none, or no name at all."""
    fleet = session.fleet
    if any(isinstance(term, Tagged | PartState) for term in target.terms()):
        await fleet.look_up(unseen=True)
    facts = fleet.facts()
    if not facts:
        raise NobodyMeant(f"{session.room} has no sites yet; next: amon enroll SITE")
    unknown = unknown_names(target, facts)
    if unknown:
        raise NobodyMeant(_unknown(unknown, session.sites()))
    names = select(target, facts)
    if not names:
        raise NobodyMeant(f"{target} fits none of {len(facts)} sites; nothing was sent; next: amon sites")
    return names


def judged(book: Book, words: Mapping[str, Word]) -> ExitCode:
    """The book's code, unless somebody may have made up an answer: then nobody knows how it ended there."""
    code = book.exit_code()
    unproven = any(word not in (Word.none, Word.signed, Word.by_id) for word in words.values())
    return next(one for one in PRECEDENCE if one in ({code, ExitCode.no_answer} if unproven else {code}))


def _unknown(unknown: Mapping[str, Sequence[str]], sites: Sequence[Site]) -> str:
    """What is said of names that no site has, or that several have."""
    shared = shared_names([site for site in sites if site.name.partition("@")[0] in unknown])
    if shared:
        return f"{shared}; nothing was sent"
    said = [f"{name!r}" + (f" (did you mean {' or '.join(near)}?)" if near else "") for name, near in unknown.items()]
    return f"no site named {', '.join(said[:MOST_LISTED])}; nothing was sent; next: amon sites"
