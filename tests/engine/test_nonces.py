"""Nonces come from what the system calls random, each once."""

import os

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from amon.engine.packets.nonces import POOL, Nonces


class Counting:
    """Numbers 0, 1, 2, … as random bytes."""

    def __init__(self) -> None:
        self.given = 0

    def __call__(self, count: int) -> bytes:
        first, self.given = self.given, self.given + count // 8
        return np.arange(first, self.given, dtype=np.uint64).tobytes()


@settings(max_examples=20)
@given(st.lists(st.integers(0, 2 * POOL), max_size=5))
def test_each_is_given_out_once_and_none_is_zero(counts: list[int]) -> None:
    nonces = Nonces(Counting())
    taken = [nonces.take(count) for count in counts]
    assert [len(some) for some in taken] == counts
    every = np.concatenate([np.empty(0, np.uint64), *taken]).tolist()
    assert every == [max(number, 1) for number in range(len(every))]


def test_what_was_taken_stays_as_it_is() -> None:
    nonces = Nonces(Counting())
    first = nonces.take(10)
    kept = first.copy()
    nonces.take(3 * POOL)
    assert (first == kept).all()


def test_they_are_the_systems_random_numbers_unless_told_otherwise() -> None:
    assert Nonces()._random is os.urandom
    assert len(set(Nonces().take(1000).tolist()) | set(Nonces().take(1000).tolist())) == 2000
