"""Maps, programs and links by bpf(2): loaded, attached to an interface, gone with their descriptors.

Sources: bpf(2); linux/bpf.h for numbers and for `union bpf_attr`; docs.kernel.org/bpf/. A link holds a program at its
interface as long as its descriptor is open (Linux 5.9), so it is gone with us, however we end.
"""

import ctypes
import errno
import mmap
import os
import platform
import struct
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from amon.engine.linux.assembler import Instruction, Label, assemble

# asm/unistd_64.h for x86; all others here use asm-generic/unistd.h.
CALL_NUMBER = 321 if platform.machine() == "x86_64" else 280

# linux/bpf.h: enum bpf_cmd
MAP_CREATE, MAP_LOOKUP, MAP_UPDATE, PROGRAM_LOAD, PROGRAM_RUN, LINK_CREATE = 0, 1, 2, 5, 10, 28
# enum bpf_map_type, bpf_prog_type, bpf_attach_type
ARRAY, XSKMAP = 2, 17
XDP_PROGRAM = 6
AT_XDP = 37
MMAPABLE = 1 << 10
"""BPF_F_MMAPABLE (Linux 5.5)."""
# linux/if_link.h: XDP_FLAGS_*
GENERIC, NATIVE = 1 << 1, 1 << 2

LOG_BYTES = 1 << 20
LOG_LINES = 12
LICENSE = b"Apache-2.0\0"


class Unverified(Exception):
    """The kernel's verifier does not let a program in; the text is the end of its log."""


def bpf(command: int, attributes: bytes | ctypes.Array[ctypes.c_char]) -> int:
    """Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(attributes, len(attributes)) if isinstance(attributes, bytes) else attributes
    result = int(libc.syscall(ctypes.c_long(CALL_NUMBER), command, buffer, ctypes.c_uint(len(buffer))))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


class Held:
    """An object of the kernel that lives as long as its descriptor."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def close(self) -> None:
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Map(Held):
    """`entries` values of `value` bytes, found by the 4 bytes of their number."""

    def __init__(self, kind: int, value: int, entries: int, name: str = "amon", flags: int = 0) -> None:
        self._value = value
        # map_type, key_size, value_size, max_entries, map_flags, inner_map_fd, numa_node, map_name
        words = (kind, 4, value, entries, flags, 0, 0, name.encode()[:15])
        super().__init__(bpf(MAP_CREATE, struct.pack("=7I16s", *words)))

    def __setitem__(self, index: int, value: bytes) -> None:
        self._access(MAP_UPDATE, index, ctypes.create_string_buffer(value, self._value))

    def __getitem__(self, index: int) -> bytes:
        value = ctypes.create_string_buffer(self._value)
        self._access(MAP_LOOKUP, index, value)
        return value.raw

    def _access(self, command: int, index: int, value: ctypes.Array[ctypes.c_char]) -> None:
        key = ctypes.c_uint32(index)
        # map_fd, (padding), key, value, flags
        bpf(command, struct.pack("=IIQQQ", self.descriptor, 0, ctypes.addressof(key), ctypes.addressof(value), 0))


class Counts(Map):
    """64-bit numbers that a program adds to, in memory shared with it: they can be read without any right."""

    def __init__(self, count: int, name: str = "amon") -> None:
        super().__init__(ARRAY, 8 * count, 1, name, MMAPABLE)
        self._memory = mmap.mmap(self.descriptor, mmap.PAGESIZE, prot=mmap.PROT_READ)
        self._numbers = memoryview(self._memory).cast("Q")[:count]

    def read(self) -> tuple[int, ...]:
        return tuple(self._numbers)

    def close(self) -> None:
        self._numbers.release()
        self._memory.close()
        super().close()


class Link(Held):
    """A program at its interface."""


class Program(Held):
    """An XDP program in the kernel. Raises Unverified, or OSError where a right or the kernel's support is missing."""

    def __init__(self, lines: Iterable[Instruction | Label], name: str) -> None:
        code = ctypes.create_string_buffer(assemble(lines))
        try:
            super().__init__(_load(code, name, None))
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EINVAL):
                raise
            # Only now with a log: it costs the verifier time, and the memory for it.
            log = ctypes.create_string_buffer(LOG_BYTES)
            super().__init__(_load_or_explain(code, name, log))

    def attach(self, interface: int, mode: int) -> Link:
        """interface: its index; mode: GENERIC or NATIVE. Raises OSError: EBUSY where there is a program already."""
        # prog_fd, target_ifindex, attach_type, flags
        return Link(bpf(LINK_CREATE, struct.pack("=4I", self.descriptor, interface, AT_XDP, mode)))

    def run(self, frame: bytes) -> tuple[int, bytes]:
        """The verdict about an Ethernet frame, and the frame as it is then; on no interface (BPF_PROG_TEST_RUN)."""
        given = ctypes.create_string_buffer(frame, len(frame))
        changed = ctypes.create_string_buffer(len(frame) + 256)
        # prog_fd, retval, data_size_in, data_size_out, data_in, data_out, repeat, duration
        words = (self.descriptor, 0, len(frame), len(changed), ctypes.addressof(given), ctypes.addressof(changed), 1, 0)
        attributes = ctypes.create_string_buffer(struct.pack("=4I2Q2I", *words), 40)
        bpf(PROGRAM_RUN, attributes)
        _, verdict, _, size = struct.unpack_from("=4I", attributes.raw)
        return verdict, changed.raw[:size]


def _load(code: ctypes.Array[ctypes.c_char], name: str, log: ctypes.Array[ctypes.c_char] | None) -> int:
    license_text = ctypes.create_string_buffer(LICENSE)
    # prog_type, insn_cnt, insns, license, log_level, log_size, log_buf, kern_version, prog_flags, prog_name
    attributes = struct.pack(
        "=IIQQIIQII16s",
        XDP_PROGRAM,
        len(code) // 8,
        ctypes.addressof(code),
        ctypes.addressof(license_text),
        1 if log else 0,
        len(log) if log else 0,
        ctypes.addressof(log) if log else 0,
        0,
        0,
        name.encode()[:15],
    )
    return bpf(PROGRAM_LOAD, attributes)


def _load_or_explain(code: ctypes.Array[ctypes.c_char], name: str, log: ctypes.Array[ctypes.c_char]) -> int:
    try:
        return _load(code, name, log)
    except OSError as error:
        lines = log.value.decode(errors="replace").splitlines()
        if not lines:
            raise
        raise Unverified("\n".join(lines[-LOG_LINES:])) from error
