"""What waits for a person's word: a yes with its code, or a signature under a line that was shown. Bounded and short.

A question belongs to who caused it, where he did. The word that answers it is judged as a request of its own.
"""

from dataclasses import dataclass, replace

from amon.access import BadSignature
from amon.clock import Clock
from amon.ids import code
from amon.runtime.incoming import Door, Incoming
from amon.runtime.seals import LONGEST_LIFE, Seals
from amon.runtime.typed import Line
from amon.text import nearest
from amon.wire import Challenge
from amon.words import Asker, Effect

CONFIRM_WITHIN = 60.0  # seconds
_MOST_PENDING = 200
_MOST_OF_ONE = 8  # of one person: each may cost the verification of a signature, and the places of others
_LONGEST_CHALLENGE = 1900  # characters; of a longer line a page shows only a part


@dataclass(frozen=True, slots=True)
class Question:
    """What waits for a person's yes, or for his signature under `challenge`. since: monotonic seconds."""

    since: float
    incoming: Incoming
    line: Line
    challenge: Challenge | None = None


class Questions:
    """The open ones of one account's chat. site, door: as of the chat."""

    def __init__(self, site: str, door: Door, clock: Clock) -> None:
        self._site = site
        self._door = door
        self._clock = clock
        self._questions: dict[tuple[str, str], Question] = {}

    def __len__(self) -> int:
        return len(self._questions)

    def ask(self, incoming: Incoming, line: Line, prefix: str, effect: Effect, plan: str, signature: bool) -> str:
        """What to say instead of doing it: which sites must be typed, then a word that confirms, or a signature."""
        if not line.alone and line.target is None:
            return f"this would change {self._site}: say which sites, @{self._site} or @all"
        if signature and not line.alone:
            return f"{self._site}: {plan}\n{effect} must be signed: ask me alone, or use the console: amon run --sign"
        if signature:
            return self._challenge(incoming, line, effect, plan)
        word = code(incoming.id)
        self._put(word, Question(self._clock.monotonic(), replace(incoming, confirmed=True), line))
        if line.alone:
            return f"{plan}\n{effect}: within {CONFIRM_WITHIN:g} s say yes {word}"
        how = f"within {CONFIRM_WITHIN:g} s say {prefix}yes {word} in the room for all of them, or here for me"
        return f"{self._site}: {plan}\n{effect} on several sites: {how}"

    def confirmed(self, asker: Asker, word: str) -> Question | None:
        """The question that this yes answers, which is none any more; None if there is no such. It may be too old."""
        question = self._questions.get((asker.jid, word))
        if question is None or asker.room not in (None, question.incoming.asker.room):
            return None
        del self._questions[asker.jid, word]
        return question

    def too_late(self, question: Question) -> bool:
        return self._clock.monotonic() - question.since > CONFIRM_WITHIN

    def signed(self, asker: Asker, signature: str, seals: Seals) -> tuple[Question, str]:
        """The newest question that this signature answers, and by which key. `BadSignature` says why none is."""
        now, detail = self._clock.time(), "nothing waits for a signature"
        for key, question in reversed(list(self._questions.items())):
            if question.challenge is None or key[0] != asker.jid or asker.room != question.incoming.asker.room:
                continue
            try:
                by = seals.answers(question.challenge, signature, self._door, now)
            except BadSignature as bad:
                detail = str(bad)
                continue
            del self._questions[key]
            return question, by
        raise BadSignature(detail)

    def meant(self, asker: Asker, word: str, *, newest: bool) -> str:
        """The word of an open question of his that is nearest to what he said; if none is, maybe the newest."""
        waiting = self._waiting(asker)
        meant = nearest(word, waiting)[:1] if word else []
        if newest:
            meant = meant or waiting[-1:]
        return meant[0].upper() if meant else ""

    def _waiting(self, asker: Asker) -> list[str]:
        """The words of this person's open questions that may be said where he is, in small letters, the newest last."""
        now = self._clock.monotonic()
        return [
            word.lower()
            for (jid, word), one in self._questions.items()
            if jid == asker.jid and asker.room in (None, one.incoming.asker.room) and now - one.since <= CONFIRM_WITHIN
        ]

    def _put(self, word: str, question: Question) -> None:
        self._questions[question.incoming.asker.jid, word] = question
        mine = [key for key in self._questions if key[0] == question.incoming.asker.jid]
        for key in mine[:-_MOST_OF_ONE]:
            del self._questions[key]
        while len(self._questions) > _MOST_PENDING:
            del self._questions[next(iter(self._questions))]

    def _challenge(self, incoming: Incoming, line: Line, effect: Effect, plan: str) -> str:
        """The line to sign stands alone, so that it can be copied whole."""
        now, by = int(self._clock.time()), incoming.asker.jid
        challenge = Challenge(incoming.id, self._door.jid, by, now, now + int(LONGEST_LIFE), line.text)
        text = str(challenge)
        if not text.isprintable() or "```" in text or len(text) > _LONGEST_CHALLENGE:
            return f"{plan}\n{effect} must be signed; no chat shows this line whole, use the console: amon run --sign"
        question = Question(self._clock.monotonic(), replace(incoming, confirmed=True), line, challenge)
        self._put(f"ok {incoming.id}", question)
        how = f"{effect} must be signed within {LONGEST_LIFE / 60:g} min: amon sign, then paste what it prints"
        return f"{plan}\n{how}\n{text}"
