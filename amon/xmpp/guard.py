"""Between the connection and its owner: an error of the owner costs one line in the log, never the session."""

import logging
import traceback
from collections.abc import Callable
from typing import TypeVar

from amon.xmpp.events import Bounced, Listener, Offline, Online, Received, RoomState, Seen

T = TypeVar("T")
_FRAMES = 4  # of our stack that tell where an error of ours is


def where(error: BaseException) -> str:
    """Kind and place of an error of ours; its text could hold what a peer sent, so that is not said."""
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    place = " < ".join(f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in reversed(frames))
    return f"{type(error).__name__} at {place}"


class Guarded:
    """A `Listener` that passes everything on to another one."""

    def __init__(self, listener: Listener, log: logging.Logger) -> None:
        self._listener, self._log = listener, log

    def _tell(self, method: Callable[[T], None], event: T) -> None:
        try:
            method(event)
        except Exception as error:
            self._log.error("a %s was dropped: %s", type(event).__name__, where(error))

    def received(self, message: Received) -> None:
        self._tell(self._listener.received, message)

    def bounced(self, bounce: Bounced) -> None:
        self._tell(self._listener.bounced, bounce)

    def seen(self, presence: Seen) -> None:
        self._tell(self._listener.seen, presence)

    def room(self, state: RoomState) -> None:
        self._tell(self._listener.room, state)

    def online(self, event: Online) -> None:
        self._tell(self._listener.online, event)

    def offline(self, event: Offline) -> None:
        self._tell(self._listener.offline, event)

    def may_see(self, jid: str) -> bool:
        try:
            return self._listener.may_see(jid)
        except Exception as error:  # whoever cannot be judged sees nothing
            self._log.error("%s may not see us: %s", jid, where(error))
            return False
