"""How a program that serves until it is told to stop is told: Ctrl-C, SIGTERM, a terminal that went away."""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def on_stop(act: Callable[[], object]) -> Iterator[None]:
    """The first such signal is `act`; those that follow are ignored, because cleaning up must come to its end."""
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in SIGNALS}
    if before[signal.SIGHUP] is signal.SIG_IGN:
        del before[signal.SIGHUP]  # nohup(1): it is to outlive its terminal
    told = False

    def once() -> None:
        nonlocal told
        if not told:
            told = True
            act()

    for number in before:
        loop.add_signal_handler(number, once)
    try:
        yield
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)
