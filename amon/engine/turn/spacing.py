"""Spaces out what one tenant wants sent at once, by its own rate.

Frames leave in one order, so those of a tenant that has to wait for its cap would hold up all the others' behind them.
Source: RFC 2697 (the bucket); the moments are those of a virtual scheduling algorithm (ITU-T I.371, GCRA).
"""

from collections.abc import Callable

import numpy as np

from amon.engine.messages import Limits
from amon.engine.shapes import I64, U16

_SECOND = 1e9


class Spacing:
    """limits: of a tenant, now. burst: seconds of its rate that go at once."""

    def __init__(self, limits: Callable[[str], Limits], burst: float) -> None:
        self._limits = limits
        self._burst = round(burst * _SECOND)
        self._free: dict[str, int] = {}
        """When all that was let go would be gone at an even rate, ns."""

    def space(self, tenant: str, due: I64, sizes: U16, now: int, until: int) -> I64:
        """When frames that are due at these moments, in order, may go: at most until that moment, so fewer than were
        asked for where the others have to wait. sizes: bytes of each."""
        limits = self._limits(tenant)
        each = np.maximum(_SECOND / limits.rate, sizes * (_SECOND / limits.bytes))
        before = np.cumsum(each) - each
        wanted = np.maximum(due, now) - now  # small numbers, exact as floats
        free = self._free.get(tenant, 0) - now
        begins = before + np.maximum(np.maximum.accumulate(wanted - before), free)
        moments = np.maximum(wanted, (begins - self._burst).astype(np.int64))
        count = int(np.searchsorted(moments, until - now, "right"))
        if count:
            self._free[tenant] = now + int(begins[count - 1] + each[count - 1])
        found: I64 = moments[:count] + now
        return found
