"""A request as it reached this site, and how its asker hears of it. The same for every front."""

from dataclasses import dataclass
from typing import Protocol

from amon.access import Policy
from amon.wire import Ended
from amon.words import Asker, Effect


@dataclass(frozen=True, slots=True)
class Door:
    """The account a request came through: its name, its policy, and the domain where agents live."""

    account: str
    policy: Policy
    agents_domain: str


@dataclass(frozen=True, slots=True)
class Incoming:
    """id: names the request everywhere. deadline: seconds the asker waits. sites: how many the whole job is for.

    confirmed: the asker has seen which sites it is for and said yes.
    """

    id: str
    asker: Asker
    line: str
    door: Door
    deadline: float = 30.0
    sites: int = 1
    confirmed: bool = False
    dry_run: bool = False


class Replies(Protocol):
    """Tells the asker how the request goes. Must not wait; to be told to nobody is fine."""

    def accepted(self) -> None: ...

    def progress(self, text: str, fraction: float | None) -> None: ...

    def needs_word(self, effect: Effect, plan: str) -> None:
        """Nothing was done: it changes several sites and has not been confirmed."""
        ...

    def ended(self, outcome: Ended) -> None:
        """May come twice: `running` at the deadline, then the real end."""
        ...
