"""What is fuzzed: a function of bytes that must end, and may only fail as its documentation says.

A target turns bytes into what a stranger could send, hands it to our code and looks at what must hold of the result.
Anything it raises is a crash: documented errors are caught in the target, and `Broke` says which promise did not hold.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

CORPUS = Path(__file__).with_name("corpus")
LONGEST = 4096  # bytes of one input; sizes beyond have tests of their own


class Broke(Exception):
    """A promise that did not hold."""


@dataclass(frozen=True, slots=True)
class Target:
    """run: takes any bytes. words: what a mutation may put in. share: how much of a run it gets, by what it costs."""

    name: str
    run: Callable[[bytes], None]
    words: tuple[str, ...] = ()
    share: int = 4

    @property
    def folder(self) -> Path:
        return CORPUS / self.name

    def seeds(self) -> Iterator[bytes]:
        """Inputs of our own, and every input that was a crash once."""
        for file in sorted(self.folder.iterdir()):
            yield file.read_bytes()


def text_of(data: bytes) -> str:
    """Bytes as a text that a stranger may send: whatever is no UTF-8 becomes a mark, as a stream would refuse it."""
    return data.decode("utf-8", "replace")


def must(holds: bool, promise: str) -> None:
    if not holds:
        raise Broke(promise)
