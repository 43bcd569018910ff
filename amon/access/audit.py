"""What is written down of every request that was decided, accepted or refused."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """time: seconds since the epoch. line: what was asked, secrets masked. rule: what decided. outcome: how it ended.

    key: fingerprint of the key that signed the request, empty for none. effect: of the command, empty where no command
    was understood. Refusals are written as well as what was done.
    """

    time: float
    account: str
    asker: str
    room: str | None
    id: str
    line: str
    allowed: bool
    rule: str
    outcome: str
    key: str = ""
    effect: str = ""
