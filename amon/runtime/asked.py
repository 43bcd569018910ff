"""A request that was understood: what the policy sees of it, what it still needs, and what is written down of it."""

from dataclasses import dataclass

from amon.access import AuditRecord, Decision, Wanted
from amon.command import Ask
from amon.convert import to_data
from amon.runtime.incoming import Incoming
from amon.store import Record
from amon.wire import Ended, WireError, decode
from amon.words import Effect, State

_UNREADABLE = "has ended, but how cannot be read any more"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that was understood. wanted: as the policy sees it. shown: the line as it may be written down."""

    incoming: Incoming
    ask: Ask
    wanted: Wanted
    decision: Decision
    shown: str

    @property
    def effect(self) -> Effect:
        return self.ask.command.effect

    @property
    def dry_run(self) -> bool:
        return self.incoming.dry_run or self.ask.dry_run

    @property
    def needs_word(self) -> bool:
        """It was not said yet that it is meant, or not signed; until then it is only planned."""
        incoming, effect = self.incoming, self.ask.command.effect
        if self.dry_run:
            return False
        unsure = incoming.typed and not incoming.asker.key and incoming.door.authority.confirms(effect)
        many = (incoming.sites > 1 or incoming.careful) and effect is not Effect.read
        return self.needs_signature or (not incoming.confirmed and (many or unsure))

    @property
    def needs_signature(self) -> bool:
        incoming = self.incoming
        return not self.dry_run and not incoming.asker.key and incoming.door.authority.needs_signature(self.wanted)

    def record(self, now: float) -> Record:
        """For the journal. now: epoch seconds."""
        asker, door = self.incoming.asker, self.incoming.door
        told = (asker.jid, self.incoming.id, door.account, asker.reply_to, self.shown, self.effect, now)
        return Record(*told, asked=self.incoming.asked)

    def audit_line(self, outcome: str, now: float) -> AuditRecord:
        return audit_line(self.incoming, self.shown, self.decision, outcome, now, self.effect)


def audit_line(
    incoming: Incoming, shown: str, decision: Decision, outcome: str, now: float, effect: str = ""
) -> AuditRecord:
    """What is written down of a request, understood or not. now: epoch seconds."""
    asker, account = incoming.asker, incoming.door.account
    told = (now, account, asker.jid, asker.room, incoming.id, shown, decision.allowed, decision.rule, outcome)
    return AuditRecord(*told, asker.key, effect)


def shown_line(ask: Ask) -> str:
    """The line as it may be written down: values in full, secrets masked, nothing for what was not said."""
    values = []
    for param in ask.command.params:
        value = ask.args[param.name]
        if value is None or value is False or value in ((), [], ""):
            continue
        values.append(f"{param.name}={'***' if param.secret else to_data(value)}")
    return " ".join([ask.name, *values])[:1000]


def stored(record: Record) -> Ended:
    """What a repeat hears of a request that has ended, or has begun once."""
    if record.outcome is None:  # it ended, or the account did that it came through, and the disk did not take it
        return Ended(record.id, State.lost, "was begun here before; how it ended is not known, look at the site")
    try:
        outcome = decode(record.outcome)
    except WireError:  # written by another version
        outcome = None
    if isinstance(outcome, Ended):
        return outcome
    return Ended(record.id, record.state or State.failed, f"{record.line[:64]} {_UNREADABLE}")
