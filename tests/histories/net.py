"""A network that delays, reorders, doubles and loses: what was sent lies there until a history delivers it, or not."""

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Letter:
    """about: for the reader of a history. arrive: what happens when it is delivered. once: there is no second of it."""

    about: str
    arrive: Callable[[], None]
    once: Callable[[], bool] = lambda: False


@dataclass(slots=True)
class Net:
    """up: the server runs. While it does not, nothing is taken; what was under way when it stopped is lost."""

    letters: list[Letter] = field(default_factory=list)
    up: bool = True

    def send(self, about: str, arrive: Callable[[], None], once: Callable[[], bool] = lambda: False) -> bool:
        """Whether the server took it; nobody knows more."""
        if self.up:
            self.letters.append(Letter(about, arrive, once))
        return self.up

    def deliver(self, number: int) -> None:
        """One of them, whichever; the order in which they were sent means nothing."""
        self.letters.pop(number % len(self.letters)).arrive()

    def double(self, number: int) -> None:
        letter = self.letters[number % len(self.letters)]
        if not letter.once():
            letter.arrive()

    def drop(self, number: int) -> None:
        self.letters.pop(number % len(self.letters))

    def stop(self) -> None:
        self.up = False
        self.letters.clear()
