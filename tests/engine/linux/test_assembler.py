"""eBPF instructions as bytes, beside what llvm-objdump prints for the same instructions of compiled programs."""

import sys

import pytest

from amon.engine.linux.assembler import (
    R0,
    R1,
    R2,
    R3,
    R4,
    R6,
    R7,
    R8,
    R10,
    Instruction,
    Label,
    add_atomically,
    assemble,
    byte,
    call,
    compute,
    double,
    half,
    jump,
    jump_if,
    leave,
    load,
    map_of,
    move,
    store,
    to_network,
    value_of,
    word,
)  # fmt: skip

LITTLE = pytest.mark.skipif(sys.byteorder != "little", reason="these are the bytes of a little-endian machine")

KNOWN = [
    (move(R0, 2), "b7 00 00 00 02 00 00 00"),  # r0 = 2
    (move(R6, R1), "bf 16 00 00 00 00 00 00"),  # r6 = r1
    (load(R2, word(R1, 4)), "61 12 04 00 00 00 00 00"),  # r2 = *(u32 *)(r1 + 4)
    (load(R3, half(R6, 12)), "69 63 0c 00 00 00 00 00"),  # r3 = *(u16 *)(r6 + 12)
    (load(R3, byte(R6, 23)), "71 63 17 00 00 00 00 00"),  # r3 = *(u8 *)(r6 + 23)
    (load(R1, double(R10, -8)), "79 a1 f8 ff 00 00 00 00"),  # r1 = *(u64 *)(r10 - 8)
    (store(double(R6, 0), R0), "7b 06 00 00 00 00 00 00"),  # *(u64 *)(r6 + 0) = r0
    (store(word(R10, -4), 0), "62 0a fc ff 00 00 00 00"),  # *(u32 *)(r10 - 4) = 0
    (add_atomically(double(R1, 8), R4), "db 41 08 00 00 00 00 00"),  # lock *(u64 *)(r1 + 8) += r4
    (compute(R2, "+", 14), "07 02 00 00 0e 00 00 00"),  # r2 += 14
    (compute(R2, "-", R8), "1f 82 00 00 00 00 00 00"),  # r2 -= r8
    (compute(R3, "&", 0xF0), "57 03 00 00 f0 00 00 00"),  # r3 &= 240
    (compute(R2, ">>", 16), "77 02 00 00 10 00 00 00"),  # r2 >>= 16
    (to_network(R8, 16), "dc 08 00 00 10 00 00 00"),  # r8 = be16 r8
    (call(51), "85 00 00 00 33 00 00 00"),
    (leave(), "95 00 00 00 00 00 00 00"),
    (map_of(R1, 5), "18 11 00 00 05 00 00 00 00 00 00 00 00 00 00 00"),  # r1 = map[fd 5]
    (value_of(R1, 5, 8), "18 21 00 00 05 00 00 00 00 00 00 00 08 00 00 00"),  # r1 = map[fd 5] + 8
]  # fmt: skip


@LITTLE
@pytest.mark.parametrize(("instruction", "code"), KNOWN, ids=[code for _, code in KNOWN])
def test_an_instruction_has_the_bytes_of_the_standard(instruction: Instruction, code: str) -> None:
    assert assemble([instruction]).hex(" ") == code


@LITTLE
def test_a_jump_counts_from_the_instruction_behind_it_to_its_label() -> None:
    lines = (jump_if(R2, ">", R7, "out"), jump_if(R3, "!=", 8, "out"), map_of(R1, 3), Label("out"), leave())
    code = assemble(lines)
    assert code[:8].hex(" ") == "2d 72 03 00 00 00 00 00"  # a wide load takes two places
    assert code[8:16].hex(" ") == "55 03 02 00 08 00 00 00"


@LITTLE
def test_a_jump_may_go_back() -> None:
    assert assemble((Label("again"), move(R0, 0), jump("again")))[8:].hex(" ") == "05 00 fe ff 00 00 00 00"


def test_a_jump_to_nowhere_is_refused() -> None:
    with pytest.raises(ValueError, match="no label 'out'"):
        assemble((jump("out"),))


@pytest.mark.parametrize("between", [(), (leave(),)])
def test_a_label_that_is_there_twice_is_refused(between: tuple[Instruction, ...]) -> None:
    with pytest.raises(ValueError, match="'out' is there twice"):
        assemble((Label("out"), *between, Label("out")))


@pytest.mark.parametrize("instruction", [move(R0, 1 << 31), load(R0, word(R1, 1 << 15))], ids=["number", "offset"])
def test_a_number_that_has_no_room_is_refused(instruction: Instruction) -> None:
    with pytest.raises(ValueError, match="Instruction"):
        assemble((instruction,))
