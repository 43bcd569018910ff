"""The mail of one job on its way to its book, and the gate before it: bounded for each site and for all of them.

Nobody reads while a person thinks about a question, and whoever sends may send for ever. So of each site a few letters
wait, of its notes of progress the last one; and what all letters of a job take together has an end, too.
"""

import asyncio
from collections import Counter, deque
from dataclasses import dataclass, replace

from amon.runtime.proofs import Word
from amon.runtime.tame import tame, without_data
from amon.wire import Output, Payload, Progress

WAITING_MOST = 16  # letters of one site; an honest one sends five, besides progress
KEPT_MOST = 512 * 1024 * 1024  # bytes of all letters of a job
_LARGEST = 3 * 1024 * 1024  # bytes that one letter may take
_SHORT = 2_000  # characters as written: such an answer always has room, at 50 bytes each
_SMALL = 100_000  # bytes
_KNOWN_MOST = 20_000  # senders
_STRANGERS = "@"  # no name of a site


@dataclass(frozen=True, slots=True)
class Letter:
    """Something that came back from a site. payload None: what was sent to it bounced, or it went offline or came.

    of: what it was that bounced: `ask`, `fetch`, `cancel`; empty for what went through the room.
    site empty: our own connection is there again; with `here`, in a new session, which missed what came meanwhile.
    word: how far it is to be trusted; a forged one has no payload. size: bytes it takes, about; written: characters it
    came in. asked: digest of the body that a signed one answers. strange: its sender is no site of this fleet.
    """

    site: str
    payload: Payload | None
    at: float
    gone: bool = False
    here: bool = False
    of: str = ""
    text: str = ""
    word: Word = Word.none
    size: int = 0
    asked: str = ""
    written: int = 0
    strange: bool = False

    @property
    def sender(self) -> str:
        """Whose place it takes: strangers, who may be any number, have one together."""
        return _STRANGERS if self.strange else self.site


class Gate:
    """How much of each sender is read at all: so many letters and characters at once, and so many more each second.

    An agent sends four notes of progress a second and an outcome of 120,000 characters at most for each call.
    """

    def __init__(
        self,
        letters: int = 200,
        letters_again: float = 20.0,
        characters: int = 2**20,
        characters_again: float = 2.0**17,
    ) -> None:
        self._most = (float(letters), float(characters))
        self._again = (letters_again, characters_again)
        self._left: dict[str, tuple[float, float, float]] = {}

    def takes(self, sender: str, size: int, now: float) -> bool:
        """sender: whatever is the same for all that one site, or all strangers together, can send."""
        since, letters, characters = self._left.get(sender, (now, *self._most))
        passed = max(0.0, now - since)
        letters = min(self._most[0], letters + passed * self._again[0])
        characters = min(self._most[1], characters + passed * self._again[1])
        takes = letters >= 1 and characters >= size
        if takes:
            letters, characters = letters - 1, characters - size
        if sender in self._left or len(self._left) < _KNOWN_MOST:
            self._left[sender] = now, letters, characters
        return takes

    def give(self, sender: str, size: int) -> None:
        """One letter of that size has done no harm: another may come instead."""
        if sender in self._left:
            since, letters, characters = self._left[sender]
            self._left[sender] = since, min(self._most[0], letters + 1), min(self._most[1], characters + size)


class Mailbox(asyncio.Queue[Letter]):
    """kept_most: bytes of all that was taken; beyond, only how it ended is kept, not what it said.

    gate: how much of each site is read for this job; one that is asked page after page may answer each in full.
    """

    def __init__(self, kept_most: int = KEPT_MOST) -> None:
        super().__init__()
        self.dropped = 0
        self.gate = Gate()
        self._left = kept_most
        self._waiting: Counter[str] = Counter()
        self._notes: dict[str, list[Letter]] = {}
        self._arrived: set[str] = set()

    def tamed(self, payload: Payload, written: int) -> tuple[Payload, int]:
        """The payload, `written` in so many characters, as it may be kept.

        Where no room is left the data of a large one is not even looked at.
        """
        fits = written <= _SHORT or self._left >= _LARGEST
        return tame(payload if fits else without_data(payload))

    def _init(self, maxsize: int) -> None:
        self._queue: deque[list[Letter]] = deque()

    def _put(self, letter: Letter) -> None:
        if letter.here and letter.site in self._arrived:
            return  # that it came once more says nothing new
        is_note = isinstance(letter.payload, Progress)
        if is_note and letter.sender in self._notes:
            self._notes[letter.sender][0] = letter
            return
        if self._waiting[letter.sender] >= WAITING_MOST:
            self.dropped += 1
            return
        if letter.payload is not None and not is_note:
            if letter.size > max(self._left, _SMALL):
                letter = replace(letter, payload=without_data(letter.payload), size=0)
            self._left = max(0, self._left - letter.size)
        entry = [letter]
        if is_note:
            self._notes[letter.sender] = entry
        if letter.here:
            self._arrived.add(letter.site)
        self._waiting[letter.sender] += 1
        self._queue.append(entry)

    def _get(self) -> Letter:
        entry = self._queue.popleft()
        letter = entry[0]
        if self._notes.get(letter.sender) is entry:
            del self._notes[letter.sender]
        self._waiting[letter.sender] -= 1
        if not self._waiting[letter.sender]:
            del self._waiting[letter.sender]
        if letter.here:
            self._arrived.discard(letter.site)
        if isinstance(letter.payload, Output):  # it is not kept: who reads it has room of his own (listening.py)
            self._left += letter.size
        return letter

    def read(self, letter: Letter) -> None:
        """A part of a session has been read: its site may send another."""
        self.gate.give(letter.site, letter.written)
