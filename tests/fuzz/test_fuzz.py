"""Every target with its corpus, and with some hundred inputs that nobody chose. `make fuzz` runs millions."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.mutate import Mutator
from tests.fuzz.target import LONGEST, Broke, Target, must
from tests.fuzz.targets import TARGETS

EACH = pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
ANY = st.binary(max_size=200) | st.text(max_size=80).map(lambda text: text.encode("utf-8", "replace"))


@EACH
def test_every_input_of_the_corpus_keeps_the_promises(target: Target) -> None:
    seeds = list(target.seeds())
    assert seeds, "a target begins somewhere"
    for data in seeds:
        target.run(data)


@EACH
def test_changed_inputs_keep_the_promises(target: Target) -> None:
    mutator = Mutator(target, Random(target.name))
    for _ in range(150):
        data = mutator.next()
        assert len(data) <= LONGEST
        target.run(data)


@EACH
@settings(max_examples=40, deadline=None, derandomize=True)
@given(data=ANY)
def test_any_bytes_keep_the_promises(target: Target, data: bytes) -> None:
    target.run(data)


def test_a_promise_that_does_not_hold_is_a_crash() -> None:
    with pytest.raises(Broke, match="the sky is green"):
        must(False, "the sky is green")
