"""Work under way: the book an asker keeps of a job. Pure; `now` is passed in.

THE BOOK (`book.py`, tables in `states.py`)

A job goes to a frozen list of names. Each name is a row; a row is open (`pending`, `accepted`) until it has ended, and
when no row is open the book is closed. Three rules make books that always close:

1. Every row that was begun has a time at which it ends by itself. A `pending` one becomes `silent` when the accept-by
   time has passed, an `accepted` one `lost` at the deadline plus a grace for the way back, or `running` if the site
   said it is still at it. `next_due()` is the earliest such time, so whoever feeds the book can wait exactly that long.
2. An end is *reported* by the site (`done failed refused invalid running cancelled expired lost`) or *concluded* here
   (`silent lost not-here running cancelled not-started expired`). Only the first are facts. A site reports `lost` of a
   call that its last agent died in: it knows that it began, and nobody knows how far it came.
3. What was reported stays, `running` excepted, which is by nature not the last word. What was concluded may be put
   right: a late report amends the row, which is then marked late. An ended row never becomes open again.

What fits no rule is not lost: an answer from a site that was not asked, or a second answer unlike the first, is listed
as unexpected and changes nothing. The same answer again is nothing at all (at-least-once delivery is normal).
The book's state depends on what happened and when it happened, not on how often `tick` was called.

WHOSE TURN IT IS (`plan.py`)

A row that was not begun is `pending`, too, and says in `waits` what for: its turn, its site that is offline, or the
asker's signature. Such a row hears nothing from its site, which was not asked; it ends when the job is cancelled or
stopped (`not-started`), when the time of the whole job is up (`Book.ends`: `not-started`), or when its site did not
come in time (`Book.queue_ends`: `expired`). Else its turn comes: the `Rollout` names the next as soon as rows that were
begun have ended, and those end by rule 1. So a book closes without anybody's help, but for one thing: a row whose site
asks back waits for a person (`Wait.word`), and keeps its place in a batch meanwhile. It ends by `ask`, `skip`, `stop`,
`cancel`, and by the time of the whole job if there is one; whoever asks the person answers for the rest.

Without a plan it is everybody's turn at once. There is no second way.

How conflicts are settled. Progress before acceptance is acceptance: messages of two streams may overtake each other.
A site that goes offline before it accepted is `silent`, not `not-here`: it may have the request and be busy with it;
`not-here` is kept for those who certainly do not have it (bounced, or known offline when it was sent). One that goes
offline after it accepted is `lost` at once: a lying presence says *available* (hibernation), not *unavailable*; should
the site come back and finish, its report amends the row. Cancelling waits one grace for the sites to confirm.

A JOB THAT IS TAKEN UP AGAIN (`Book.restore`, amon.runtime.resuming)

Rows are kept outside (amon.store.ledger) and restored into a new book. The sites that have not reported an end are
asked what became of it. One that answers that it does not know the request never accepted it, or has forgotten it:

- A row that was never begun waits for its turn and is begun then, whatever its site would say: if the request went out
  all the same and nobody could write that down, the site knows its id, says how it ended and does nothing twice. So
  it may have it (`Row.may_have`), and what it reports counts even after the row was called `not-started`; until the
  site says that it does not know the request.
- A row that was sent and not accepted becomes or stays `silent`, with those words. Not `not-started`, which nothing can
  put right: nobody can say that a message on its way will not arrive after the answer.
- A row that was accepted becomes or stays `lost`: its site did something, and has lost what it knew of it.

The same request as its site sees it: `amon.runtime.dispatch`.
"""

from amon.job.book import Book
from amon.job.exits import PRECEDENCE, ExitCode, exit_code
from amon.job.plan import ALL_AT_ONCE, Plan, Rollout, draw_seed, parse_share, sample
from amon.job.rows import Row, Unexpected, Wait, summary, worst_first
from amon.job.states import Event

__all__ = [
    "ALL_AT_ONCE",
    "PRECEDENCE",
    "Book",
    "Event",
    "ExitCode",
    "Plan",
    "Rollout",
    "Row",
    "Unexpected",
    "Wait",
    "draw_seed",
    "exit_code",
    "parse_share",
    "sample",
    "summary",
    "worst_first",
]
