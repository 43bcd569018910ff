"""What systemd is told of a program that serves, at its socket. Source: sd_notify(3), sd_watchdog_enabled(3)."""

import socket
import time
from collections.abc import MutableMapping


class Notify:
    """Tells nobody if there is nobody to tell. watchdog: seconds within which systemd wants a sign of life."""

    def __init__(self, address: str | None = None, watchdog: float | None = None) -> None:
        # An abstract socket is written with @ and has a zero byte there.
        self._address = "\0" + address[1:] if address and address.startswith("@") else address
        self.watchdog = watchdog

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str], pid: int) -> "Notify":
        """Takes the variables out: they are ours, and no program that we start may speak for us."""
        address = environment.pop("NOTIFY_SOCKET", None)
        usec, whose = environment.pop("WATCHDOG_USEC", ""), environment.pop("WATCHDOG_PID", str(pid))
        known = usec.isascii() and usec.isdigit() and int(usec) > 0 and whose == str(pid)
        return cls(address, int(usec) / 1e6 if known else None)

    def ready(self, status: str) -> None:
        self._tell("READY=1", f"STATUS={_line(status)}")

    def reloading(self) -> None:
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}", "STATUS=reading the configuration")

    def stopping(self) -> None:
        self._tell("STOPPING=1", "STATUS=stopping")

    def status(self, text: str) -> None:
        self._tell(f"STATUS={_line(text)}")

    def alive(self) -> None:
        """A sign of life, if one is wanted: from where the work is done, so that one that is stuck says nothing."""
        if self.watchdog is not None:
            self._tell("WATCHDOG=1")

    async def keep_alive(self) -> None:
        """Until cancelled. From the loop: one that is stuck says nothing, and systemd starts us anew."""
        import asyncio  # the packet engine has no loop, and asyncio would be a sixth of its memory

        while self.watchdog is not None:
            self.alive()
            await asyncio.sleep(self.watchdog / 2)

    def _tell(self, *assignments: str) -> None:
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC) as out:
            try:
                out.sendto("\n".join(assignments).encode(), self._address)
            except OSError:
                pass  # systemd restarts itself now and then; the next word reaches it


def _line(text: str) -> str:
    return " ".join(text.split())
