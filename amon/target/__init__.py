"""Whom a request is for: the target language, from text to expression to frozen names.

The same words in the console, in a chat line and in a policy:

    cern                  the site of that name                cern*, t2-??     names like it (`*` any run, `?` one)
    tag:tier=1            tagged so (value may be a glob)      tag:tier         tagged at all
    health:crit           ok warn crit unknown maint           module:switch    has that module loaded
    service:httpd=down    a part of that name is in that state, in whichever instance of the module service
    host:disk-root=full   so for any module, or by the name of the instance; service:web/httpd=down names both
    @job:7Q2K             the sites of that job            @job:7Q2K:failed,lost   those that ended so (console only)
    not X   X and Y   X or Y   X, Y   ( )   all

How it is read. `not` binds tightest, then `and`, then `or`, for which the comma is another spelling. Capitals do not
matter anywhere: the local part of a JID has none. What stands nowhere is refused with the place and the nearest word.
Nothing is chosen by saying nothing: an empty text is an error; an expression that fits no site selects nothing.

How it is decided. An expression is matched against `Facts`. Presence names only what is *not* well; which parts there
are comes by service discovery, together with the tags. So a part that exists and is not named is `up` (also written
`ok`), and `service:*=up` says that there is at least one and none of them is anything else. Where a site does not tell
its parts (more than can be told, an older agent), each counts as existing that its modules could have. A site that is
offline has health `unknown`, and no part of it is in any state; `not service:httpd=down` holds for it.

`select` is called once, where the request is sent; from then on only names travel. All of it is bounded (`LONGEST`,
`LONGEST_WORD`, `DEEPEST`) and matching never goes back further than one star, so that no line of chat can make an
agent think long.
"""

from amon.target.expression import All, And, Expression, HasModule, InHealth, Name, Not, Or, PartState, Tagged
from amon.target.facts import HEALTH_WORDS, Facts
from amon.target.glob import is_glob, matches_glob
from amon.target.parse import DEEPEST, LONGEST, LONGEST_WORD, RESERVED, parse
from amon.target.select import select, unknown_names

__all__ = [
    "DEEPEST", "HEALTH_WORDS", "LONGEST", "LONGEST_WORD", "RESERVED", "All", "And", "Expression", "Facts",
    "HasModule", "InHealth", "Name", "Not", "Or", "PartState", "Tagged", "is_glob", "matches_glob", "parse", "select",
    "unknown_names",
]  # fmt: skip
