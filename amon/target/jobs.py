"""Sites of an earlier job as a target: `@job:7Q2K:failed`. Only the console that keeps it knows which those are."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from amon.errors import Refused
from amon.target.expression import And, Expression, Not, Or
from amon.target.facts import Facts


@dataclass(frozen=True, slots=True)
class OfJob(Expression):
    """ident: the end of the job's id. states: those that its sites ended in, none for any.

    sites: their names in small letters; None as long as nobody has looked them up, and then no site can be matched.
    """

    ident: str
    states: tuple[str, ...] = ()
    sites: frozenset[str] | None = None

    def matches(self, facts: Facts) -> bool:
        if self.sites is None:
            raise Refused(f"{self}: only the console that asked knows its jobs; name the sites")
        return facts.name.lower() in self.sites

    def __str__(self) -> str:
        return f"@job:{self.ident}" + (f":{','.join(self.states)}" if self.states else "")


def with_jobs(target: Expression, sites_of: Callable[[OfJob], frozenset[str]]) -> Expression:
    """The same target, with the sites of each job that it names looked up."""
    if isinstance(target, OfJob):
        return replace(target, sites=sites_of(target))
    if isinstance(target, Not):
        return Not(with_jobs(target.inner, sites_of))
    if isinstance(target, And | Or):
        return type(target)(tuple(with_jobs(each, sites_of) for each in target.inner))
    return target


def jobs_in(target: Expression) -> Iterator[OfJob]:
    yield from (term for term in target.terms() if isinstance(term, OfJob))
