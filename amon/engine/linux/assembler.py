"""eBPF instructions as data, and the bytes they come to.

Sources: RFC 9669 (BPF instruction set), whose numbers stand at the tables; for what Linux adds, linux/bpf.h.
"""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from struct import error as StructError  # noqa: N812
from types import MappingProxyType


class Register(IntEnum):
    """R0 takes results, R1 to R5 arguments (a call destroys them), R6 to R9 survive calls, R10 is the stack's end."""

    R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10 = range(11)


R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10 = Register

# RFC 9669, 3: classes; 4.1: arithmetic; 4.3: jumps; 5: sizes and modes.
LOAD_WIDE, LOAD, STORE_NUMBER, STORE, ALU32, JUMP, ALU64 = 0x18, 0x61, 0x62, 0x63, 0x04, 0x05, 0x07
ATOMIC = 0xC3
SIZES: Mapping[int, int] = MappingProxyType({1: 0x10, 2: 0x08, 4: 0x00, 8: 0x18})
ARITHMETIC: Mapping[str, int] = MappingProxyType(
    {"+": 0x00, "-": 0x10, "|": 0x40, "&": 0x50, "<<": 0x60, ">>": 0x70, "^": 0xA0, "=": 0xB0}
)
COMPARISONS: Mapping[str, int] = MappingProxyType(
    {"==": 0x10, ">": 0x20, ">=": 0x30, "&": 0x40, "!=": 0x50, "<": 0xA0, "<=": 0xB0}
)
FROM_REGISTER = 0x08
SWAP_TO_NETWORK = 0xDC
CALL, EXIT = 0x85, 0x95
MAP, MAP_VALUE = 1, 2
"""RFC 9669, 5.4: what the 64-bit number of a wide load stands for: a map by its descriptor, the address of its data."""

_layout = Struct("=BBhi")


@dataclass(frozen=True, slots=True)
class Instruction:
    """to: the label a jump goes to, in place of `offset`. high: the second half of a wide load."""

    opcode: int
    destination: int = 0
    source: int = 0
    offset: int = 0
    constant: int = 0
    to: str = ""
    high: int | None = None

    @property
    def slots(self) -> int:
        return 1 if self.high is None else 2

    def encode(self, offset: int) -> bytes:
        """Raises struct.error for numbers that have no room."""
        low, high = (self.destination, self.source) if sys.byteorder == "little" else (self.source, self.destination)
        code = _layout.pack(self.opcode, low | high << 4, offset, self.constant)
        return code if self.high is None else code + _layout.pack(0, 0, 0, self.high)


@dataclass(frozen=True, slots=True)
class Label:
    name: str


@dataclass(frozen=True, slots=True)
class Place:
    """`size` bytes of memory, `offset` behind where a register points to."""

    size: int
    base: Register
    offset: int


def byte(base: Register, offset: int) -> Place:
    return Place(1, base, offset)


def half(base: Register, offset: int) -> Place:
    return Place(2, base, offset)


def word(base: Register, offset: int) -> Place:
    return Place(4, base, offset)


def double(base: Register, offset: int) -> Place:
    return Place(8, base, offset)


def load(into: Register, place: Place) -> Instruction:
    return Instruction(LOAD | SIZES[place.size], into, place.base, place.offset)


def store(place: Place, value: Register | int) -> Instruction:
    if isinstance(value, Register):
        return Instruction(STORE | SIZES[place.size], place.base, value, place.offset)
    return Instruction(STORE_NUMBER | SIZES[place.size], place.base, 0, place.offset, value)


def add_atomically(place: Place, value: Register) -> Instruction:
    """4 or 8 bytes. RFC 9669, 5.3."""
    return Instruction(ATOMIC | SIZES[place.size], place.base, value, place.offset, ARITHMETIC["+"])


def compute(register: Register, operator: str, value: Register | int) -> Instruction:
    """All 64 bits; "=" moves. A number is 32 bits, its sign extended."""
    opcode = ALU64 | ARITHMETIC[operator]
    if isinstance(value, Register):
        return Instruction(opcode | FROM_REGISTER, register, value)
    return Instruction(opcode, register, constant=value)


def move(into: Register, value: Register | int) -> Instruction:
    return compute(into, "=", value)


def to_network(register: Register, bits: int) -> Instruction:
    """16, 32 or 64 bits from the host's byte order to the network's, or back; the bits above become zero."""
    return Instruction(SWAP_TO_NETWORK, register, constant=bits)


def jump(to: str) -> Instruction:
    return Instruction(JUMP, to=to)


def jump_if(register: Register, comparison: str, value: Register | int, to: str) -> Instruction:
    """Unsigned; "&": if any of these bits is set."""
    opcode = JUMP | COMPARISONS[comparison]
    if isinstance(value, Register):
        return Instruction(opcode | FROM_REGISTER, register, value, to=to)
    return Instruction(opcode, register, constant=value, to=to)


def call(helper: int) -> Instruction:
    return Instruction(CALL, constant=helper)


def leave() -> Instruction:
    return Instruction(EXIT)


def map_of(into: Register, descriptor: int) -> Instruction:
    return Instruction(LOAD_WIDE, into, MAP, constant=descriptor, high=0)


def value_of(into: Register, descriptor: int, offset: int) -> Instruction:
    """Address of the data of a map of kind array, from its first item on (Linux 5.2)."""
    return Instruction(LOAD_WIDE, into, MAP_VALUE, constant=descriptor, high=offset)


def assemble(lines: Iterable[Instruction | Label]) -> bytes:
    """Raises ValueError for a label that is missing or there twice, and for numbers that have no room."""
    lines = tuple(lines)
    labels: dict[str, int] = {}
    slot = 0
    for line in lines:
        if isinstance(line, Instruction):
            slot += line.slots
        elif line.name in labels:
            raise ValueError(f"the label {line.name!r} is there twice")
        else:
            labels[line.name] = slot
    return b"".join(_encode(tuple(line for line in lines if isinstance(line, Instruction)), labels))


def _encode(instructions: tuple[Instruction, ...], labels: Mapping[str, int]) -> Iterable[bytes]:
    slot = 0
    for instruction in instructions:
        slot += instruction.slots
        if instruction.to and instruction.to not in labels:
            raise ValueError(f"no label {instruction.to!r}")
        # RFC 9669, 4.3: from the instruction behind the jump.
        offset = labels[instruction.to] - slot if instruction.to else instruction.offset
        try:
            yield instruction.encode(offset)
        except StructError as error:
            raise ValueError(f"{instruction}: {error}") from None
