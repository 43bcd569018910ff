"""What clients order: jobs begin, get their lists, pause, change and end. Answers each order, and nothing else."""

import logging
from collections.abc import Callable
from concurrent.futures import Executor, Future
from itertools import chain
from typing import assert_never

import numpy as np

from amon.engine.desk.connection import Client
from amon.engine.desk.server import Desk, Said
from amon.engine.messages import (
    Ask,
    Begin,
    Capture,
    End,
    EndCapture,
    Ended,
    Hello,
    Pause,
    Ready,
    Refused,
    Resume,
    Spec,
    Tally,
    Targets,
)
from amon.engine.packets.targets import unpack
from amon.engine.rules.guard import Guard
from amon.engine.shapes import U64
from amon.engine.turn.jobs import Addresses, Job, Jobs, List, Preparing, denied_in
from amon.engine.turn.order import order

TARGETS_MOST = 4_000_000
"""Targets of all clients together; each costs some 60 bytes."""
JOBS_MOST = 1024
"""Jobs of one tenant."""
JOBS_OF_ALL = 4096


class Orders:
    """executor: one thread where long lists are made ready; `poll` takes them from there. guard: of this moment.

    started: told of a list that is to be probed from now on, in each turn until it says that it is. given_up: told of
    one that is not any more. resumed: told of a job that was paused. others: told of what is not about jobs, and of a
    client that has gone.
    """

    def __init__(
        self,
        desk: Desk,
        jobs: Jobs,
        guard: "Callable[[], Future[Guard]]",
        executor: Executor,
        started: Callable[[Job, Spec, List], bool],
        given_up: Callable[[List], None],
        resumed: Callable[[Job], None],
        others: Callable[[Said], None],
    ) -> None:
        self._desk, self._jobs, self._guard, self._executor = desk, jobs, guard, executor
        self._started, self._given_up, self._resumed, self._others = started, given_up, resumed, others
        self._preparing: list[Job] = []
        self._log = logging.getLogger("amon.engine.turn.orders")

    @property
    def is_preparing(self) -> bool:
        return bool(self._preparing)

    def hear(self, said: Said) -> None:
        match said.order:
            case None:
                for job in self._jobs.of(said.client):
                    self._jobs.stop(job)
                self._others(said)
            case Begin():
                self._begin(said.client, said.order)
            case Targets() | Ready() | Pause() | Resume() | End():
                found = self._jobs.find(said.client, said.order.job)
                if found is None or found.over:
                    text = f"there is no job {said.order.job}: it has ended, or was not begun"
                    self._desk.send(said.client, Refused(text, said.order.job))
                else:
                    self._about(found, said.order)
            case Hello() | Capture() | EndCapture() | Ask():
                self._others(said)
            case _ as never:
                assert_never(never)

    def poll(self) -> None:
        """Take over the lists that are ready."""
        for job in list(self._preparing):
            preparing = job.preparing
            if preparing is None or job.over:
                self._end(job)
            elif preparing.future.done():
                self._take_over(job, preparing)

    def _take_over(self, job: Job, preparing: Preparing) -> None:
        fault = preparing.future.exception()
        if fault is not None:
            self._end(job)
            self._log.error(
                "the targets of job %d of %s could not be made ready", job.ident, job.client, exc_info=fault
            )
            self._refuse(job, f"the targets could not be made ready: {fault!r}")
        elif self._started(job, preparing.spec, preparing.future.result()):
            self._preparing.remove(job)
            job.preparing = None

    def _end(self, job: Job) -> None:
        """Of making its list ready."""
        if job.preparing is not None:
            self._give_up(job.preparing)
        self._preparing.remove(job)
        job.preparing = None

    def _give_up(self, preparing: Preparing) -> None:
        future = preparing.future
        if not future.cancel() and future.done() and future.exception() is None:
            self._given_up(future.result())

    def judge_again(self) -> None:
        """Other targets are allowed now than before: of what is probed, and of what is just being made ready."""
        for job in self._jobs:
            if job.over:
                continue
            if job.preparing is not None:
                self._prepare(job, job.preparing.addresses, job.preparing.spec)
            elif job.current is not None:
                self._prepare(job, job.current.list.addresses, job.current.spec)

    def _begin(self, client: Client, begin: Begin) -> None:
        job = self._jobs.find(client, begin.job)
        if job is not None and job.over:
            self._desk.send(client, Refused(f"job {begin.job} is still ending", begin.job))
        elif job is not None:
            job.next_spec, job.spoiled = begin.spec, False
            self._jobs.fetch(job)
        elif self._jobs.of_tenant(client.tenant) >= JOBS_MOST:
            text = f"{JOBS_MOST} jobs of tenant {client.tenant} are open; next: end some"
            self._desk.send(client, Refused(text, begin.job))
        elif len(self._jobs) >= JOBS_OF_ALL:
            self._desk.send(client, Refused(f"{JOBS_OF_ALL} jobs are open, of all tenants together", begin.job))
        else:
            self._jobs.add(Job(client, begin.job, begin.spec))

    def _about(self, job: Job, said: Targets | Ready | Pause | Resume | End) -> None:
        match said:
            case Targets():
                self._more(job, said.addresses)
            case Ready():
                self._ready(job)
            case Pause():
                job.paused = True
            case Resume():
                if job.paused:
                    job.paused = False
                    self._resumed(job)
            case End():
                self._jobs.stop(job)
            case _ as never:
                assert_never(never)

    def _more(self, job: Job, addresses: bytes) -> None:
        if job.spoiled:
            return  # it was told so
        if len(addresses) % 16:
            self._spoil(job, "an address is 16 bytes")
        elif self._targets + len(addresses) // 16 > TARGETS_MOST:
            self._spoil(job, f"this engine has room for {TARGETS_MOST:,} targets, of all its clients together")
        else:
            self._jobs.bring(job, addresses)

    @property
    def _targets(self) -> int:
        """With those that are just being made ready."""
        found = (job.preparing.addresses for job in self._preparing if job.preparing is not None)
        return self._jobs.targets + sum(map(len, chain.from_iterable(found))) // 16

    def _ready(self, job: Job) -> None:
        if job.spoiled:
            job.spoiled = False
        elif job.coming:
            self._prepare(job, self._jobs.fetch(job), job.next_spec)
        elif job.preparing is not None:
            self._prepare(job, job.preparing.addresses, job.next_spec)
        elif job.current is not None:
            self._prepare(job, job.current.list.addresses, job.next_spec)
        else:
            self._refuse(job, "a job needs at least one target")

    def _prepare(self, job: Job, addresses: Addresses, spec: Spec) -> None:
        # The last list wins: one of this job that waits for the thread, or for its rows, is not made ready any more.
        if job.preparing is not None:
            self._give_up(job.preparing)
        future = self._executor.submit(prepare, addresses, self._guard(), job.client.tenant, spec.seed)
        job.preparing = Preparing(addresses, spec, future)
        if job not in self._preparing:
            self._preparing.append(job)

    def _spoil(self, job: Job, text: str) -> None:
        """The list that is coming is not taken, nor what still comes of it; what is probed stays."""
        job.spoiled = True
        self._jobs.fetch(job)
        self._refuse(job, text)

    def _refuse(self, job: Job, text: str) -> None:
        self._desk.send(job.client, Refused(text, job.ident))
        if job.current is None and job.preparing is None:
            self._jobs.remove(job)
            self._desk.send(job.client, Ended(job.ident, Tally(), text))


def prepare(addresses: Addresses, making: "Future[Guard]", tenant: str, seed: str) -> List:
    """What may be probed of a list, in the order of probing. Takes about a second for a million. making: the guard; if
    it is not done, it is before this in the same thread's queue."""
    guard = making.result()
    high, low = _unpacked(addresses)
    verdicts = guard.judge(tenant, high, low)
    allowed = verdicts == 0
    found = np.flatnonzero(allowed)
    places = found[order(high[found], low[found], seed)].astype(np.uint32)
    return List(addresses, high, low, places, allowed, denied_in(verdicts, guard.texts))


def _unpacked(addresses: Addresses) -> tuple[U64, U64]:
    """Piece by piece: bytes that are joined keep the interpreter all the time."""
    count = sum(map(len, addresses)) // 16
    high, low = np.empty(count, np.uint64), np.empty(count, np.uint64)
    done = 0
    for piece in addresses:
        rows = slice(done, done + len(piece) // 16)
        high[rows], low[rows] = unpack(piece)
        done = rows.stop
    return high, low
