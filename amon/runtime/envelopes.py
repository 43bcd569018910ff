"""The signed texts of a job whose sites begin one after the other: made when they are needed, a pack at a time.

A site takes no signature that is older than its envelope says (seals.py), so whoever begins later needs a fresh one.
And a person may have to touch a key for each: so one is made for those whose turn it is together with those who come
next, as many as one signature can be for.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace

from amon.errors import Failed
from amon.runtime.delivery import PACK, Job

FRESH = 150.0  # seconds in which one is still used; it is good for 180 at least, and has to arrive (signing.py)

Seal = Callable[[Job], Awaitable[Job]]
"""A job -> the same with what its sites get, signed now. `Failed` says why it was not signed."""


class Envelopes:
    """wanted: this job goes out signed only. seal: makes more; without it what there is has to do, however old."""

    def __init__(self, seal: Seal | None, wanted: bool) -> None:
        self.wanted = wanted
        self.held: list[str] = []
        """Whose turn it is, but for the signature; in order."""
        self.task: asyncio.Task[Job] | None = None
        self._seal = seal
        self._texts: dict[str, tuple[str, float]] = {}
        self._names: defaultdict[str, set[str]] = defaultdict(set)
        self._began = 0.0

    def take(self, sealed: Mapping[str, str], now: float) -> None:
        """These were made now."""
        self.wanted = self.wanted or bool(sealed)
        for name, text in sealed.items():
            self._texts[name] = text, now
            self._names[text].add(name)

    def forget(self) -> None:
        self._texts.clear()
        self._names.clear()

    def missing(self, names: Iterable[str], now: float) -> list[str]:
        """Those of them who cannot be asked before somebody signs."""
        if not self.wanted or self._seal is None:
            return []
        return [name for name in names if name not in self._texts or now - self._texts[name][1] >= FRESH]

    def parts(self, job: Job) -> list[tuple[Job, bool]]:
        """The job, one part for each envelope; and whether that may be said aloud, because it is for nobody else.

        Whoever is named in an envelope acts on it, though his turn may be later.
        """
        if not self._texts:
            return [(job, True)]
        by_text: defaultdict[str, list[str]] = defaultdict(list)
        for name in job.names:
            by_text[self._texts[name][0] if name in self._texts else ""].append(name)
        found = []
        for text, names in by_text.items():
            sealed = dict.fromkeys(names, text) if text else {}
            found.append((replace(job, names=tuple(names), sealed=sealed), not text or self._names[text] <= set(names)))
        return found

    def begin(self, job: Job, ahead: Callable[[int], Iterable[str]], now: float) -> None:
        """Have those who are held signed for, and as many of those `ahead` as that signature is for besides."""
        assert self._seal is not None
        room = -len(self.held) % PACK
        names = (*self.held, *self.missing(ahead(room), now))
        self._began = now
        coroutine = self._seal(replace(job, names=names, whole=job.sites, sealed={}))
        self.task = asyncio.ensure_future(coroutine)

    def finish(self) -> list[str]:
        """Whose turn it is, now that it is signed; `Failed` if it was not. Only when the task is done."""
        assert self.task is not None
        task, self.task = self.task, None
        names, self.held = self.held, []
        if task.cancelled():
            raise Failed("the signing was broken off")
        self.take(task.result().sealed, self._began)
        return [name for name in names if name in self._texts]

    def close(self) -> None:
        if self.task is not None:
            self.task.cancel()
