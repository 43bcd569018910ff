"""Brings in slixmpp without what it would take along: 6 MB and 90 ms of every start, measured.

pygments colours a log that we silence, and is there wherever rich is; aiodns looks names up for a connect that `route`
replaces, which imports it where it is needed. slixmpp does without either. Its own version it would look up in a way
that takes 2 MB: it is told. Other modules import slixmpp after this one.
"""

import sys
from types import ModuleType

from amon.installed import bring, version_of


def _tell_version() -> None:
    told = version_of("slixmpp") or "0"
    version = ModuleType("slixmpp.version", "Told by amon.xmpp.lean.")
    numbers = tuple(int(number) for number in told.split(".")[:3] if number.isdecimal())
    vars(version).update(__version__=told, __version_info__=numbers)
    sys.modules.setdefault("slixmpp.version", version)


_tell_version()
bring("slixmpp", without=("pygments", "aiodns"))
