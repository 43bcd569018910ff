"""The captures that run: begun and ended by clients, fed by the loop."""

import logging
import os
import time
from collections.abc import Callable

import numpy as np

from amon.engine.capture.capture import NO_JOB, Capture
from amon.engine.desk.connection import Client
from amon.engine.desk.server import Desk
from amon.engine.messages import Capture as Order
from amon.engine.messages import Captured, EndCapture
from amon.engine.packets.decode import Replies
from amon.engine.packets.table import Table
from amon.engine.shapes import NETWORK, U16, Packets
from amon.engine.stamps import interpolate
from amon.engine.turn.jobs import Edition, Jobs
from amon.engine.turn.outbox import Out

CAPTURES_MOST = 8
"""At once, of all clients: each copies what it takes. No tenant may have more than half of them."""
_WRITTEN_WITHIN = 1.0  # seconds


class Captures:
    """epoch: CLOCK_REALTIME minus CLOCK_MONOTONIC, ns."""

    def __init__(self, desk: Desk, jobs: Jobs, epoch: Callable[[], int]) -> None:
        self._desk, self._jobs, self._epoch = desk, jobs, epoch
        self._running: list[tuple[Client, Capture]] = []
        self._log = logging.getLogger("amon.engine.turn.captures")

    def __len__(self) -> int:
        return len(self._running)

    def begin(self, client: Client, order: Order, descriptor: int, now: int) -> None:
        text = self._objection(client, order)
        if text:
            os.close(descriptor)
            self._desk.send(client, Captured(order.capture, 0, 0, text=text))
            return
        self._running.append((client, Capture(descriptor, order, now, self._epoch)))
        self.choose()

    def end(self, client: Client, order: EndCapture) -> None:
        for whose, capture in self._running:
            if whose is client and capture.order.capture == order.capture:
                capture.stop()

    def gone(self, client: Client) -> None:
        """What it captures ends with it."""
        for whose, capture in self._running:
            if whose is client:
                capture.stop("who asked for it has gone")

    def choose(self) -> None:
        """Jobs have come or gone: which are whose."""
        for client, capture in self._running:
            rows = [row for row, edition in self._jobs.editions.items() if _is_meant(capture.order, client, edition)]
            capture.jobs = np.array(rows, np.uint16)

    def note_sent(self, out: Out) -> None:
        for _, capture in self._running:
            capture.note_sent(out.box.memory, out.rows, out.lengths, interpolate(out.spans), out.jobs, NETWORK)

    def note_received(self, packets: Packets, replies: Replies, table: Table) -> None:
        if not self._running:
            return
        jobs: U16 = np.full(len(packets), NO_JOB, np.uint16)
        jobs[replies.row] = table.jobs_of(replies.slot)
        for _, capture in self._running:
            capture.note_received(packets, jobs)

    def check(self, now: int) -> None:
        """Tell of those that are over."""
        for pair in list(self._running):
            client, capture = pair
            done = capture.check(now)
            if done is not None:
                self._running.remove(pair)
                self._desk.send(client, done)

    def close(self) -> None:
        """The end of the engine waits for no reader; what was lost by that is told."""
        for _, capture in self._running:
            capture.stop("the engine ends")
            capture.hurry()
        until = time.monotonic() + _WRITTEN_WITHIN
        for client, capture in self._running:
            done = capture.wait(max(0.0, until - time.monotonic()))
            if done is None:
                done = Captured(capture.order.capture, 0, 0, text="the engine ends, and it is not written yet")
            if done.text != "the engine ends" or done.left_out:
                self._log.warning("a capture of %s: %d packets left out; %s", client, done.left_out, done.text)
            self._desk.send(client, done)
        self._running.clear()

    def _objection(self, client: Client, order: Order) -> str:
        if len(self._running) >= CAPTURES_MOST:
            return f"{CAPTURES_MOST} captures run already; next: wait until one has ended"
        if sum(whose.tenant == client.tenant for whose, _ in self._running) >= CAPTURES_MOST // 2:
            return f"{CAPTURES_MOST // 2} captures of tenant {client.tenant} run already; next: end one"
        if any(whose is client and one.order.capture == order.capture for whose, one in self._running):
            return f"capture {order.capture} runs already"
        if order.job is not None and self._jobs.find(client, order.job) is None:
            return f"there is no job {order.job}"
        return ""


def _is_meant(order: Order, client: Client, edition: Edition) -> bool:
    if order.job is None:
        return edition.tenant == client.tenant
    return edition.job.client is client and edition.job.ident == order.job
