"""bpf(2): what the kernel keeps for us, and what its verifier says of a program it does not take."""

import errno

import pytest

from amon.engine.linux.assembler import R0, R1, R2, leave, load, move, word
from amon.engine.linux.bpf import ARRAY, Map, Program, Unverified
from tests.lab.namespaces import needs_root

pytestmark = [pytest.mark.lab, needs_root]
FRAME = bytes(64)


def test_a_map_keeps_what_is_put_there() -> None:
    with Map(ARRAY, 8, 4) as kept:
        kept[3] = b"12345678"
        assert (kept[3], kept[0]) == (b"12345678", bytes(8))


def test_a_place_that_a_map_has_not_is_an_error() -> None:
    with Map(ARRAY, 8, 4) as kept, pytest.raises(OSError, match="No such file") as told:
        kept[4]
    assert told.value.errno == errno.ENOENT


def test_a_program_says_its_verdict_of_a_frame() -> None:
    with Program((move(R0, 2), leave()), "amon_test") as program:
        assert program.run(FRAME) == (2, FRAME)


def test_the_verifier_says_why_a_program_is_not_let_in() -> None:
    # Reads the frame without having looked at its end.
    unchecked = (load(R2, word(R1, 0)), load(R0, word(R2, 0)), leave())
    with pytest.raises(Unverified, match="invalid access to packet"):
        Program(unchecked, "amon_test")


def test_closing_twice_is_nothing() -> None:
    kept = Map(ARRAY, 8, 1)
    kept.close()
    kept.close()
