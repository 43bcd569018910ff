"""A signed order by itself: what it is over is looked at, one by one, with everything else in order."""

from dataclasses import replace

import pytest

from amon.access import COMMAND, Authority, BadSignature, Policy, read_signers
from amon.runtime.incoming import Door
from amon.runtime.seals import LONGEST_LIFE, Seals
from amon.wire import Envelope, body_of, seal, unseal
from tests.fuzz.keys import ALICE, KEY, LINE, NOW, OPS, REQUEST

AUTHORITY = Authority(Policy(admin=(ALICE,)), "agents.amon.test", read_signers(LINE, "signers")[0])
DOOR = Door("vo", AUTHORITY, "cern@agents.amon.test", frozenset((OPS,)))


def opened(now: float = NOW, *, by: str = ALICE, aud: str = OPS, made: float = NOW, until: float = NOW + 60) -> str:
    """The line that would be obeyed."""
    body = body_of(Envelope(by, aud, made, until, REQUEST))
    text = seal(body, KEY.sign(body.encode(), COMMAND))
    return Seals(born=0.0).open(unseal(text), ALICE, DOOR, now)[0].line


def test_what_is_in_order_is_opened_from_a_minute_before_to_its_end() -> None:
    for now in (NOW - 60, NOW, NOW + 60):
        assert opened(now) == REQUEST.line


@pytest.mark.parametrize(
    "wrong",
    [
        {"now": NOW + 61}, {"now": NOW - 61}, {"until": NOW}, {"until": NOW - 1}, {"until": NOW + LONGEST_LIFE + 1},
        {"by": "bob@amon.test"}, {"aud": "other@rooms.amon.test"},
    ],
    ids=str,
)  # fmt: skip
def test_each_thing_that_is_not_in_order_is_enough_to_refuse_it(wrong: dict[str, float | str]) -> None:
    with pytest.raises(BadSignature):
        opened(**wrong)  # type: ignore[arg-type]


def test_a_clock_that_is_wrong_takes_nothing() -> None:
    body = body_of(Envelope(ALICE, OPS, NOW, NOW + 60, REQUEST))
    text = seal(body, KEY.sign(body.encode(), COMMAND))
    with pytest.raises(BadSignature, match="is off"):
        Seals().open(unseal(text), ALICE, replace(DOOR, clock_fault="the clock is off"), NOW)
