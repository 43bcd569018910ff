"""The engine's own packets as a pcap file, for tcpdump and tshark.

Sources: draft-ietf-opsawg-pcap (magic of nanoseconds; LINKTYPE_RAW: packets begin with the IP header). The file is
written by a thread, so a slow disk holds up nobody; what does not find place in its queue is left out and counted.
"""

from collections.abc import Callable

import numpy as np

from amon.engine.messages import Capture as Order
from amon.engine.messages import Captured
from amon.engine.shapes import I64, NETWORK, U8, U16, U32, Packets

NO_JOB = 0xFFFF


class Capture:
    """One capture. descriptor: of a file or a pipe, closed at its end. jobs: rows of the jobs whose packets are taken;
    who runs the jobs sets it as they come and go. epoch: what to add to a monotonic stamp to have the time of day, ns.
    """

    def __init__(self, descriptor: int, order: Order, now: int, epoch: Callable[[], int]) -> None:
        self.order = order
        self.jobs: U16 = np.zeros(0, np.uint16)

    def note_sent(
        self, memory: U8, rows: I64, lengths: U16 | U32, stamps: I64, jobs: U16, begin: int = NETWORK
    ) -> None:
        """Frames that went out: `rows` of `memory`, the IP packet at `begin`. jobs: row of the job of each."""

    def note_received(self, packets: Packets, jobs: U16) -> None:
        """Packets that came in. jobs: row of the job each belongs to, `NO_JOB` where it belongs to none."""

    def stop(self, text: str = "") -> None:
        """Nothing more is taken; what was is still written."""

    def check(self, now: int) -> Captured | None:
        """What came of it when it is over, else None. Never blocks."""
        return None
