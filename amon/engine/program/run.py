"""`amon-engine run`: from the configuration to the living engine, and its exit code."""

import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from amon import log
from amon.engine.desk.listening import listening
from amon.engine.program.configuration import Loaded, World, kept, load
from amon.engine.program.cores import ChildTeller, Cores
from amon.errors import Failed
from amon.notify import Notify
from amon.text import visible

OK, FAILED = 0, 1
BAD_CONFIGURATION = 78
"""EX_CONFIG of sysexits.h: the unit does not start it again after that."""


def run(path: Path) -> int:
    """Blocks until the engine has ended."""
    log.guard()
    # Until it listens: a hangup that comes early must not end it.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    notify = Notify.from_environment(os.environ, os.getpid())
    loaded = load(path, World())
    if loaded.settings is None:
        return _refuse(loaded, notify)
    log.set_up(loaded.settings.log)
    try:
        with listening(loaded.settings.socket, len(loaded.settings.cores), _group(loaded)) as listeners:
            if len(listeners) == 1:
                return _one(loaded, listeners[0], notify)
            return _several(loaded, listeners, notify)
    except Failed as error:
        logging.getLogger("amon.engine").error("%s", error)
        return FAILED
    except Exception:
        logging.getLogger("amon.engine").critical("the engine broke", exc_info=True)
        return FAILED


def _one(loaded: Loaded, listener: socket.socket, notify: Notify) -> int:
    from amon.engine.program.process import Process, Seat

    assert loaded.settings is not None
    core = loaded.settings.cores[0] if loaded.settings.cores else None
    Process(loaded, loaded.settings, listener, notify, Seat(core=core)).run()
    return OK


def _several(loaded: Loaded, listeners: Sequence[socket.socket], notify: Notify) -> int:
    """The parent imports no numpy: what it is stays small, and its children are born without threads."""
    good = [loaded]

    def reload() -> bool:
        now = load(loaded.path, World())
        for problem in now.problems:
            logging.getLogger("amon.engine").error("not reloaded: %s", problem)
        if now.settings is not None:
            good[0] = now
        return now.settings is not None

    def body(number: int, teller: ChildTeller) -> int:
        from amon.engine.program.process import Process, Seat

        assert good[0].settings is not None
        assert loaded.settings is not None
        settings = kept(loaded.settings, good[0].settings)
        for other in listeners:
            if other is not listeners[number]:
                other.close()
        seat = Seat(number, len(listeners), loaded.settings.cores[number])
        try:
            Process(good[0], settings, listeners[number], teller, seat).run()
        except Failed as error:
            logging.getLogger("amon.engine").error("core %d: %s", number, error)
            return FAILED
        return OK

    return Cores(len(listeners), body, notify, reload=reload).run()


def _group(loaded: Loaded) -> int | None:
    assert loaded.settings is not None
    name = loaded.settings.group
    if name is None:
        return None
    return int(name) if name.isdigit() else World().group(name)


def _refuse(loaded: Loaded, notify: Notify) -> int:
    for problem in loaded.problems:
        print(visible(str(problem)), file=sys.stderr)
    count = len(loaded.problems)
    text = f"{loaded.path}: {count} problem{'s' if count > 1 else ''}; not started"
    print(f"{text}; next: amon-engine check --config {loaded.path}", file=sys.stderr)
    notify.status(text)
    return BAD_CONFIGURATION
