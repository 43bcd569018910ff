"""How a program that serves until it is told to stop is told: Ctrl-C, SIGTERM, a terminal that went away.

Of a terminal that goes away the kernel tells the leader of its session only, and that may be `make`, which waits for us
(credentials(7), termios(3)). So the terminal itself is watched, too: poll(2), POLLHUP.
"""

import asyncio
import contextlib
import os
import select
import signal
from collections.abc import Callable, Iterator

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_STREAMS = (0, 1, 2)


@contextlib.contextmanager
def on_stop(act: Callable[[], object]) -> Iterator[None]:
    """The first such signal is `act`; those that follow are ignored, because cleaning up must come to its end."""
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in SIGNALS}
    outlives = before[signal.SIGHUP] is signal.SIG_IGN  # nohup(1): it is to outlive its terminal
    if outlives:
        del before[signal.SIGHUP]
    told = False

    def once() -> None:
        nonlocal told
        if not told:
            told = True
            act()

    for number in before:
        loop.add_signal_handler(number, once)
    with contextlib.nullcontext() if outlives else _terminal_watched(once):
        try:
            yield
        finally:
            for number, handler in before.items():
                loop.remove_signal_handler(number)
                signal.signal(number, handler)


@contextlib.contextmanager
def _terminal_watched(gone: Callable[[], None]) -> Iterator[None]:
    """While the block lasts `gone` is called when the terminal we sit at hangs up; without one nothing is watched."""
    ours = [number for number in _STREAMS if os.isatty(number)]
    if not ours or not _in_foreground(ours[0]):
        yield
        return
    loop = asyncio.get_running_loop()
    # epoll_ctl(2): with no event asked for it still tells of a hang-up, and leaves what is typed to its reader.
    with select.epoll() as watch:
        watch.register(ours[0], 0)

        def hung_up() -> None:
            loop.remove_reader(watch)
            _fall_silent(ours)
            gone()

        loop.add_reader(watch, hung_up)
        try:
            yield
        finally:
            loop.remove_reader(watch)


def _in_foreground(terminal: int) -> bool:
    """A job that a shell put into the background (`&`) is not at the terminal, and may outlive it."""
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False


def _fall_silent(terminals: list[int]) -> None:
    """What is said from now on is said to nobody; writing to a terminal that is gone would be an error."""
    nobody = os.open(os.devnull, os.O_RDWR)
    for number in terminals:
        os.dup2(nobody, number)
    os.close(nobody)
