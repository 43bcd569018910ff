"""Work under way: the book an asker keeps of a job. Pure; `now` is passed in.

THE BOOK (`book.py`, tables in `states.py`)

A job goes to a frozen list of names. Each name is a row; a row is open (`pending`, `accepted`) until it has ended, and
when no row is open the book is closed. Three rules make books that always close:

1. Every open row has a time at which it ends by itself. A `pending` one becomes `silent` when the accept-by time has
   passed, an `accepted` one `lost` at the deadline plus a grace for the way back, or `running` if the site said it is
   still at it. `next_due()` is the earliest such time, so whoever feeds the book can wait exactly that long.
2. An end is *reported* by the site (`done failed refused invalid running cancelled expired`, and `lost` where its
   agent died in the call) or *concluded* here
   (`silent lost not-here running cancelled not-started expired`). Only the first are facts.
3. What was reported stays, `running` excepted, which is by nature not the last word. What was concluded may be put
   right: a late report amends the row, which is then marked late. An ended row never becomes open again.

What fits no rule is not lost: an answer from a site that was not asked, or a second answer unlike the first, is listed
as unexpected and changes nothing. The same answer again is nothing at all (at-least-once delivery is normal).
The book's state depends on what happened and when it happened, not on how often `tick` was called.

How conflicts are settled. Progress before acceptance is acceptance: messages of two streams may overtake each other.
A site that goes offline before it accepted is `silent`, not `not-here`: it may have the request and be busy with it;
`not-here` is kept for those who certainly do not have it (bounced, or known offline when it was sent). One that goes
offline after it accepted is `lost` at once: a lying presence says *available* (hibernation), not *unavailable*; should
the site come back and finish, its report amends the row. Cancelling waits one grace for the sites to confirm.

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
