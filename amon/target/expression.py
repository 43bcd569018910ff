"""What a target text means, as a small tree: each node knows whether a site fits it, and how to write itself."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

from amon.target.facts import Facts
from amon.target.glob import is_glob, matches_glob

UP = frozenset({"up", "ok"})
"""States in which a part is well; presence does not name such a part."""


class Expression(ABC):
    """A condition on sites. `str()` writes it so that reading it gives the same expression again."""

    __slots__ = ()

    @abstractmethod
    def matches(self, facts: Facts) -> bool:
        """Whether that site is meant."""

    def terms(self) -> Iterator["Expression"]:
        """The conditions it is built from, left to right."""
        yield self

    def plain_name(self) -> str | None:
        """The one site that is meant by its name and nothing else, or None. Such a target needs no confirmation."""
        return None

    def names(self) -> tuple[str, ...]:
        """Every site that is called by its full name, in the order of writing."""
        spelled = (term.plain_name() for term in self.terms())
        return tuple(dict.fromkeys(name for name in spelled if name is not None))


@dataclass(frozen=True, slots=True)
class All(Expression):
    def matches(self, facts: Facts) -> bool:
        return True

    def __str__(self) -> str:
        return "all"


@dataclass(frozen=True, slots=True)
class Name(Expression):
    pattern: str

    def matches(self, facts: Facts) -> bool:
        return matches_glob(self.pattern, facts.name)

    def plain_name(self) -> str | None:
        return None if is_glob(self.pattern) else self.pattern

    def __str__(self) -> str:
        return self.pattern


@dataclass(frozen=True, slots=True)
class Tagged(Expression):
    key: str
    value: str | None = None
    """A glob; None: any value will do."""

    def matches(self, facts: Facts) -> bool:
        found = (value for key, value in facts.tags.items() if key.lower() == self.key)
        return any(self.value is None or matches_glob(self.value, value) for value in found)

    def __str__(self) -> str:
        return f"tag:{self.key}" if self.value is None else f"tag:{self.key}={self.value}"


@dataclass(frozen=True, slots=True)
class InHealth(Expression):
    level: str

    def matches(self, facts: Facts) -> bool:
        return facts.health_word() == self.level

    def __str__(self) -> str:
        return f"health:{self.level}"


@dataclass(frozen=True, slots=True)
class HasModule(Expression):
    pattern: str

    def matches(self, facts: Facts) -> bool:
        return any(matches_glob(self.pattern, module) for module in facts.modules)

    def __str__(self) -> str:
        return f"module:{self.pattern}"


@dataclass(frozen=True, slots=True)
class PartState(Expression):
    """A part in a state: `service:httpd=down`. The part may be a glob, and may name its instance.

    module: whose part, by the name of a module or of an instance.
    """

    module: str
    part: str
    state: str

    def matches(self, facts: Facts) -> bool:
        if not facts.online:
            return False
        states = [state.lower() for path, state in facts.parts.items() if self._is_meant(path, facts)]
        if self.state in UP:
            return self._exists(facts) and all(state in UP for state in states)
        return self.state in states

    def _exists(self, facts: Facts) -> bool:
        if facts.known is None:
            return self.module in facts.modules
        return any(self._is_meant(path, facts) for path in facts.known)

    def _is_meant(self, path: str, facts: Facts) -> bool:
        if not matches_glob(self.part, path if "/" in self.part else path.rpartition("/")[2]):
            return False
        module = (facts.known or {}).get(path)
        if self.module in (module, path.partition("/")[0]):
            return True
        # Where nobody said whose part it is, any instance may be one of the module.
        return module is None and self.module in facts.modules

    def __str__(self) -> str:
        return f"{self.module}:{self.part}={self.state}"


@dataclass(frozen=True, slots=True)
class Not(Expression):
    inner: Expression

    def matches(self, facts: Facts) -> bool:
        return not self.inner.matches(facts)

    def terms(self) -> Iterator[Expression]:
        yield from self.inner.terms()

    def __str__(self) -> str:
        return f"not ({self.inner})" if isinstance(self.inner, And | Or) else f"not {self.inner}"


@dataclass(frozen=True, slots=True)
class And(Expression):
    inner: tuple[Expression, ...]

    def matches(self, facts: Facts) -> bool:
        return all(each.matches(facts) for each in self.inner)

    def terms(self) -> Iterator[Expression]:
        for each in self.inner:
            yield from each.terms()

    def __str__(self) -> str:
        return " and ".join(f"({each})" if isinstance(each, Or) else str(each) for each in self.inner)


@dataclass(frozen=True, slots=True)
class Or(Expression):
    inner: tuple[Expression, ...]

    def matches(self, facts: Facts) -> bool:
        return any(each.matches(facts) for each in self.inner)

    def terms(self) -> Iterator[Expression]:
        for each in self.inner:
            yield from each.terms()

    def __str__(self) -> str:
        # A list reads best with commas; beside `and` and `not` the word is clearer.
        words = [str(each) for each in self.inner]
        # Behind the states of a job a comma could mean one more of them.
        plain = not any(isinstance(each, And | Not) for each in self.inner) and not any("@" in word for word in words)
        return ("," if plain else " or ").join(words)
