"""`audit`: what was asked of this site and what came of it, with the numbers and hashes that show a line is missing.

Of requests that came through another account only the digest is shown: each account is another organisation's view. The
chain can be verified over them all the same (amon/access/audit.py).
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from amon.access import Line
from amon.command import Call, command
from amon.command.answer import aligned
from amon.fields import Field
from amon.module import Env, Module
from amon.store import Journal, Query

Count = Annotated[int, Field("how many of the last lines that fit", unit="1", least=1, most=1_000_000)]
After = Annotated[int, Field("number of a line; those after it", unit="1", least=0, most=2**53)]
Ago = Annotated[float, Field("how long ago", unit="s", least=0, most=36_525 * 86_400)]
Who = Annotated[str, Field("bare address of who asked", pattern=r"[^\s\"']*", longest=1024)]
_LONGEST_CELL = 120  # characters


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the audit. A withheld one has its number, its hash and its digest alone."""

    seq: Annotated[int, Field("its number", unit="1")]
    time: Annotated[float, Field("when, seconds since the epoch", unit="1")]
    account: Annotated[str, Field("the account it came through")]
    asker: Annotated[str, Field("who asked")]
    room: Annotated[str | None, Field("the room it was asked in")]
    id: Annotated[str, Field("the request's id")]
    line: Annotated[str, Field("what was asked, secrets masked")]
    allowed: Annotated[bool, Field("what the policy said")]
    rule: Annotated[str, Field("the line of the policy that decided")]
    outcome: Annotated[str, Field("how it ended")]
    key: Annotated[str, Field("the key that signed it")]
    effect: Annotated[str, Field("read, change or danger")]
    hash: Annotated[str, Field("of this line and all before it")]
    digest: Annotated[str, Field("of this line, where it is withheld")]

    def cells(self) -> tuple[str, ...]:
        if self.digest:
            return str(self.seq), "", "", "(of another account)", "", ""
        when = datetime.fromtimestamp(self.time, UTC).strftime("%Y-%m-%d %H:%M:%S")
        return (str(self.seq), when, *(one[:_LONGEST_CELL] for one in (self.asker, self.line, self.outcome, self.rule)))


@dataclass(frozen=True, slots=True)
class Trail:
    """Lines of the audit, oldest first, and the chain they are from."""

    chain: Annotated[str, Field("name of the chain, drawn when it began")]
    anchor_seq: Annotated[int, Field("the last line that was dropped, 0 for none", unit="1")]
    anchor_hash: Annotated[str, Field("its hash")]
    head_seq: Annotated[int, Field("the last line of all", unit="1")]
    head_hash: Annotated[str, Field("its hash")]
    before_seq: Annotated[int, Field("the line that the first of these follows", unit="1")]
    before_hash: Annotated[str, Field("its hash")]
    more: Annotated[bool, Field("whether lines that were meant are missing at the end")]
    lines: Annotated[tuple[Entry, ...], Field("oldest first")]

    def __str__(self) -> str:
        heads = ("line", "time (UTC)", "who", "what", "outcome", "rule")
        table = aligned([heads, *(line.cells() for line in self.lines)], (True, *(False,) * 5)) if self.lines else ""
        more = f"more; next: audit after={self.lines[-1].seq}" if self.more else ""
        head = f"the last line is {self.head_seq}, hash {self.head_hash}"
        return "\n".join(part for part in (table or "no line fits", more, head) if part)


class AuditModule(Module[None]):
    """Its instance is called `audit`. The journal keeps everything."""

    def __init__(self, env: Env[None], journal: Journal) -> None:
        super().__init__(env)
        self._journal = journal

    @command(role="admin")
    async def audit(
        self,
        call: Call,
        count: Count = 20,
        after: After | None = None,
        since: Ago | None = None,
        until: Ago | None = None,
        who: Who = "",
        refused: bool = False,
    ) -> Trail:
        """What was asked here and what came of it; at most a hundred lines at once, `after` goes on."""
        now = self.env.clock.time()
        query = Query(count, after, _time(now, since), _time(now, until), who, refused, call.account)
        page = await self._journal.page(query)
        lines = tuple(_entry(line, call.account) for line in page.lines)
        chain, anchor, head, before = page.chain, page.anchor, page.head, page.before
        ends = (anchor.seq, anchor.hash, head.seq, head.hash, before.seq, before.hash)
        return Trail(chain, *ends, page.more, lines)


def _time(now: float, ago: float | None) -> float | None:
    return None if ago is None else now - ago


def _entry(line: Line, account: str) -> Entry:
    r = line.record
    if r is None or (r.account and r.account != account):
        return Entry(line.seq, 0.0, "", "", None, "", "", False, "", "", "", "", line.hash, line.digest)
    told = (r.time, r.account, r.asker, r.room, r.id, r.line, r.allowed, r.rule, r.outcome, r.key, r.effect)
    return Entry(line.seq, *told, line.hash, "")
