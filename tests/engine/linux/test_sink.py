"""Writing to whom that may not read: never longer than the writer likes, and never onto a terminal."""

import errno
import fcntl
import os
import select
from collections.abc import Iterator
from pathlib import Path

import pytest

from amon.engine.linux.sink import Sink, Unread


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Full, and nobody reads it."""
    reader, writer = os.pipe()
    os.write(writer, bytes(fcntl.fcntl(writer, fcntl.F_GETPIPE_SZ)))
    yield reader, writer
    os.close(reader)
    os.close(writer)


class Always:
    """Another writer fills the pipe between the look at it and our write."""

    def poll(self, milliseconds: int) -> list[tuple[int, int]]:
        return [(0, select.POLLOUT)]


def test_a_reader_that_takes_nothing_is_given_up(pipe: tuple[int, int]) -> None:
    asked = iter((False, True))
    with pytest.raises(Unread):
        Sink(pipe[1]).write(memoryview(b"x"), lambda: next(asked))
    os.read(pipe[0], 2 * select.PIPE_BUF)
    assert Sink(pipe[1]).write(memoryview(bytes(2 * select.PIPE_BUF)), lambda: True) == select.PIPE_BUF


def test_somebody_else_who_writes_there_too_holds_up_nobody(pipe: tuple[int, int]) -> None:
    try:
        os.pwritev(pipe[1], (b"x",), -1, os.RWF_NOWAIT)
    except BlockingIOError:
        pass
    except OSError as error:
        pytest.skip(f"this kernel cannot promise it: {errno.errorcode[error.errno or 0]}")
    sink = Sink(pipe[1])
    sink._writable = Always()  # type: ignore[assignment]
    with pytest.raises(Unread):
        sink.write(memoryview(b"x"), lambda: True)


def test_a_terminal_is_refused() -> None:
    ours, theirs = os.openpty()
    try:
        assert Sink(theirs).fault == "a capture goes into a file or a pipe"
    finally:
        os.close(ours)
        os.close(theirs)


def test_a_device_that_is_none_takes_all_and_a_full_one_says_so() -> None:
    with Path(os.devnull).open("wb") as nowhere, Path("/dev/full").open("wb", buffering=0) as full:
        assert Sink(nowhere.fileno()).write(memoryview(b"12345"), lambda: False) == 5
        with pytest.raises(OSError, match="No space left"):
            Sink(full.fileno()).write(memoryview(b"12345"), lambda: False)
