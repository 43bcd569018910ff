"""Runs a program to which the kernel refuses some system calls: `python -m tests.lab.refusing bpf -- PROGRAM ...`.

As a unit's SystemCallFilter= does: EPERM, by seccomp. Sources: seccomp(2), linux/seccomp.h, linux/filter.h. socket:AF
refuses sockets of this family only.
"""

import ctypes
import errno
import os
import platform
import struct
import sys
from collections.abc import Sequence

_NUMBERS = {"x86_64": {"bpf": 321, "socket": 41}, "aarch64": {"bpf": 280, "socket": 198}}
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _MODE_FILTER = 38, 22, 2
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06  # ld word absolute, jeq, ret
_ALLOW, _REFUSE = 0x7FFF_0000, 0x0005_0000 | errno.EPERM
_NUMBER, _FIRST_ARGUMENT = 0, 16  # of struct seccomp_data

Line = tuple[int, int, int, int]


def lines(refused: Sequence[str]) -> list[Line]:
    """A classic BPF program: code, jump if true, jump if false, constant."""
    numbers = _NUMBERS[platform.machine()]
    made: list[Line] = []
    for each in refused:
        name, _, family = each.partition(":")
        made.append((_LOAD, 0, 0, _NUMBER))
        if family:
            made += [(_EQUAL, 0, 3, numbers[name]), (_LOAD, 0, 0, _FIRST_ARGUMENT), (_EQUAL, 0, 1, int(family))]
        else:
            made.append((_EQUAL, 0, 1, numbers[name]))
        made.append((_RETURN, 0, 0, _REFUSE))
    return [*made, (_RETURN, 0, 0, _ALLOW)]


def install(refused: Sequence[str]) -> None:
    """For this process and all it becomes."""
    program = b"".join(struct.pack("=HBBI", *line) for line in lines(refused))
    buffer = ctypes.create_string_buffer(program)
    header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in (
        (_PR_SET_NO_NEW_PRIVS, 1, 0),
        (_PR_SET_SECCOMP, _MODE_FILTER, ctypes.create_string_buffer(header)),
    ):
        if libc.prctl(*arguments, 0, 0):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))


if __name__ == "__main__":
    end = sys.argv.index("--")
    install(sys.argv[1:end])
    os.execvp(sys.argv[end + 1], sys.argv[end + 1 :])
