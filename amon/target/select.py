"""From an expression and the facts of the fleet to the names that a request carries."""

from collections.abc import Iterable

from amon.target.expression import Expression
from amon.target.facts import Facts
from amon.text import nearest


def select(expression: Expression, sites: Iterable[Facts]) -> tuple[str, ...]:
    """The names of the sites that are meant, sorted, each once. May be empty, and then nobody is meant."""
    return tuple(sorted({facts.name.lower() for facts in sites if expression.matches(facts)}))


def unknown_names(expression: Expression, sites: Iterable[Facts]) -> dict[str, tuple[str, ...]]:
    """Sites called by name that do not exist, each with the names it may have been meant for.

    A request for `cern,fnla` should not quietly become one for `cern`.
    """
    known = {facts.name.lower() for facts in sites}
    unknown = [name for name in expression.names() if name not in known]
    # Looking for near names is slow in a large fleet, and nobody reads more than a few suggestions.
    return {name: tuple(nearest(name, known)) if place < 5 else () for place, name in enumerate(unknown)}
