"""The table of a call at its site: no way to run twice, no way out of the end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amon.job import CallEvent, CallState, IllegalStep, Repeat, after, must_sync, on_repeat
from amon.words import Effect

EVENTS = st.lists(st.sampled_from(CallEvent), max_size=30)


def walk(*events: CallEvent) -> CallState:
    state = CallState.received
    for event in events:
        state = after(state, event)
    return state


def test_a_call_goes_from_received_to_ended() -> None:
    assert walk(CallEvent.accept, CallEvent.start, CallEvent.stop, CallEvent.finish) is CallState.ended


def test_a_refused_call_ends_without_being_accepted() -> None:
    assert walk(CallEvent.finish) is CallState.ended


def test_a_call_found_open_after_a_restart_is_interrupted_and_never_starts_again() -> None:
    for events in ([CallEvent.accept], [CallEvent.accept, CallEvent.start]):
        state = walk(*events, CallEvent.restart)
        assert state is CallState.interrupted
        for event in (CallEvent.accept, CallEvent.start):
            with pytest.raises(IllegalStep, match=f"is interrupted cannot {event}"):
                after(state, event)


@given(EVENTS)
def test_no_way_starts_a_call_twice_or_leaves_the_end(events: list[CallEvent]) -> None:
    state, starts = CallState.received, 0
    for event in events:
        ended = state is CallState.ended
        try:
            state = after(state, event)
        except IllegalStep:
            continue
        starts += event is CallEvent.start
        assert state is CallState.ended or not ended
    assert starts <= 1


def test_acceptance_is_on_disk_before_anything_changes() -> None:
    assert [must_sync(CallEvent.accept, effect) for effect in Effect] == [False, True, True]
    assert not must_sync(CallEvent.finish, Effect.danger)


def test_a_repeat_is_answered_and_not_executed() -> None:
    assert {state: on_repeat(state) for state in CallState} == {
        CallState.received: Repeat.nothing,
        CallState.accepted: Repeat.accepted,
        CallState.running: Repeat.accepted,
        CallState.interrupted: Repeat.outcome,
        CallState.ended: Repeat.outcome,
    }
