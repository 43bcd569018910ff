"""The table of one call at its site: received, accepted, running, ended; or interrupted, when the agent died on it.

Theory of operation. A request with an id arrives once or many times, in any agent that ever serves this site's state.
The journal stores the state below for each id, and asks this table before every step:

    received ── accept ──> accepted ── start ──> running ── finish ──> ended
       └─ finish ──> ended    ├─ finish ──> ended   │
        (was refused)         │  (never began)      │
                              └───── restart ───────┴──> interrupted ── finish ──> ended

`accept` is the point of no return. For a command that changes anything it is on disk (`must_sync`) before `start`, so
after a power loss there are only two cases. Nothing is found: the call never began, and a repeat may run it. It is
found, but not ended: it may have begun, how far nobody knows, and it must not run again. That is what `restart` says of
everything found open when an agent starts; the agent then reports each such call as failed, interrupted, which ends it.
A looking command is accepted without the sync; lost from the journal, it may run twice, which harms nobody.

`ended` has no way out. The outcome is journalled before it is sent; a repeat is answered from there (`on_repeat`).
`stop` (the asker cancels) changes no state: what the call makes of it arrives as `finish`, with outcome `cancelled` or
whatever came first. A deadline that passes changes no state either: the site reports `running` and goes on.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from amon.words import Effect


class CallState(StrEnum):
    received = "received"
    accepted = "accepted"
    running = "running"
    interrupted = "interrupted"
    ended = "ended"


class CallEvent(StrEnum):
    accept = "accept"
    start = "start"
    stop = "stop"
    finish = "finish"
    restart = "restart"


class Repeat(StrEnum):
    """What a second copy of a request is told."""

    accepted = "say accepted again"
    outcome = "send the stored outcome"
    nothing = "the first copy is being decided and will answer"


class IllegalStep(Exception):
    """A bug of ours: this step does not exist."""


TABLE: Mapping[tuple[CallState, CallEvent], CallState] = MappingProxyType(
    {
        (CallState.received, CallEvent.accept): CallState.accepted,
        (CallState.received, CallEvent.finish): CallState.ended,
        (CallState.received, CallEvent.stop): CallState.received,
        (CallState.accepted, CallEvent.start): CallState.running,
        (CallState.accepted, CallEvent.stop): CallState.accepted,
        (CallState.accepted, CallEvent.finish): CallState.ended,
        (CallState.accepted, CallEvent.restart): CallState.interrupted,
        (CallState.running, CallEvent.stop): CallState.running,
        (CallState.running, CallEvent.finish): CallState.ended,
        (CallState.running, CallEvent.restart): CallState.interrupted,
        (CallState.interrupted, CallEvent.restart): CallState.interrupted,
        (CallState.interrupted, CallEvent.stop): CallState.interrupted,
        (CallState.interrupted, CallEvent.finish): CallState.ended,
        (CallState.ended, CallEvent.stop): CallState.ended,
        (CallState.ended, CallEvent.restart): CallState.ended,
    }
)

REPEATS: Mapping[CallState, Repeat] = MappingProxyType(
    {
        CallState.received: Repeat.nothing,
        CallState.accepted: Repeat.accepted,
        CallState.running: Repeat.accepted,
        CallState.interrupted: Repeat.outcome,
        CallState.ended: Repeat.outcome,
    }
)


def after(state: CallState, event: CallEvent) -> CallState:
    """The state after a step; IllegalStep if there is no such step, because then a call could run twice."""
    if (state, event) not in TABLE:
        raise IllegalStep(f"a call that is {state} cannot {event}")
    return TABLE[state, event]


def must_sync(event: CallEvent, effect: Effect) -> bool:
    """Whether this step must be on disk before the next one is taken."""
    return event is CallEvent.accept and effect is not Effect.read


def on_repeat(state: CallState) -> Repeat:
    """What to tell the sender of a request whose id is known. It is never executed again."""
    return REPEATS[state]
