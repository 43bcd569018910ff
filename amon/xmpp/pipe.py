"""The connection under a stream: bytes in and out, TLS or not, and its end. slixmpp's client, with its I/O replaced.

Of slixmpp's own: its reader has no limits, its send queue loses stanzas when a stream ends, its reconnecting knows no
jitter, its tasks outlive the connection. RFC 6120, 4.
"""

import asyncio
import logging
import ssl
from abc import abstractmethod
from collections.abc import Coroutine
from typing import Any
from xml.etree.ElementTree import Element

from slixmpp import ClientXMPP

from amon.xmpp import faults
from amon.xmpp.faults import Fault, Unreachable
from amon.xmpp.guard import where
from amon.xmpp.login import Limits, Login
from amon.xmpp.reader import Broken, Reader


def silence() -> None:
    """slixmpp's loggers write stanzas and SASL data at DEBUG and raw bytes at ERROR: none of them says anything."""
    theirs = logging.getLogger("slixmpp")
    theirs.propagate = False
    # Each one too: a level or a handler that somebody gives to one of them must not wake it.
    for name, logger in logging.root.manager.loggerDict.items():
        if name.startswith("slixmpp") and isinstance(logger, logging.Logger):
            logger.disabled = True


class Pipe(ClientXMPP):
    """Made for one connection and thrown away with it. `fault` is why it ended."""

    def __init__(self, login: Login, context: ssl.SSLContext, limits: Limits, log: logging.Logger) -> None:
        silence()
        resource = f"/{login.resource}" if login.resource else ""
        super().__init__(login.jid + resource, "", ssl_context=context)
        self._login, self._limits, self._log = login, limits, log
        self._reader: Reader | None = None
        self._out: list[bytes] = []
        self._flushing: asyncio.Handle | None = None
        self._reading = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._writable = asyncio.Event()
        self._writable.set()
        self._secure = False
        self.live = False  # a session is up
        self.heard = 0  # bytes received, for the keepalive
        self.fault: Fault | None = None
        self.ended = asyncio.Event()
        self.began = asyncio.Event()

    @abstractmethod
    def _element(self, xml: Element) -> None:
        """One element of the stream."""

    @abstractmethod
    def _riding_along(self) -> str:
        """What goes with whatever is written next."""

    @abstractmethod
    def _last_words(self) -> str:
        """What goes before the end of the stream."""

    @abstractmethod
    def _refusal(self) -> Fault | None:
        """What the server said before it closed the connection."""

    # --- connection

    def connection_made(self, transport: Any, send_event: bool = True) -> None:
        """TCP is there, or TLS on top of it: the stream begins (anew)."""
        self.transport = transport
        self.socket = transport.get_extra_info("ssl_object", transport.get_extra_info("socket"))
        self._secure = transport.get_extra_info("ssl_object") is not None
        fault = self._pin_fault(transport)
        if fault is not None:
            return self.fail(fault)
        self.init_parser()
        self.send_raw(self.stream_header)
        return None

    def _pin_fault(self, transport: Any) -> Fault | None:
        """The server's key is not the one that was agreed on, whoever vouches for it."""
        if not self._secure or not self._login.pins:
            return None
        from amon.xmpp.certificates import pin_of

        shown = pin_of(transport.get_extra_info("ssl_object").getpeercert(True))
        return None if shown in self._login.pins else faults.of_pin(shown, self._login.host or self._login.domain)

    def certificate_ends(self) -> float | None:
        """When the server's certificate ends, epoch seconds; None without TLS."""
        held = self.transport.get_extra_info("ssl_object") if self.transport is not None else None
        shown = held.getpeercert() if held is not None else None
        return float(ssl.cert_time_to_seconds(shown["notAfter"])) if shown else None

    def init_parser(self) -> None:
        if self._reader is not None:
            self._reader.close()
        self._reader = Reader(self._opened, self._element, self._closed_by_peer, self._cut_short, self._limits)

    def data_received(self, data: bytes | str) -> None:
        reader = self._reader
        if reader is None or isinstance(data, str):
            return
        self.heard += len(data)
        self._reading = True
        try:
            reader.feed(data)
        except Broken as broken:
            self.fail(Fault("broken", str(broken)))
        finally:
            self._reading = False
        if self._flushing is None:
            self._flush()

    def eof_received(self) -> None:
        return None

    def connection_lost(self, exception: BaseException | None) -> None:
        """The transport is gone, whoever ended it."""
        if self.fault is None:
            server = self._login.host or self._login.domain
            lost = Fault("cut", f"{server} closed the connection")
            self.fault = self._refusal() or (faults.of_connection(exception, server, "") if exception else lost)
        self._end()

    def fail(self, fault: Fault) -> None:
        """Ends the stream at once; the first reason is the one that counts."""
        if self.fault is None:
            self.fault = fault
        if self.transport is not None:
            self._flush()
            self.transport.abort()
        self._end()

    def _end(self) -> None:
        if self.ended.is_set():
            return
        self.live = False
        if self._reader is not None:
            self._reader.close()
        self._reader = self.transport = self.socket = None
        self._writable.set()
        for handle in (self._flushing, *self.scheduled_events.values()):
            if handle is not None:
                handle.cancel()
        self.scheduled_events.clear()
        for task in self._tasks:
            task.cancel()
        self.ended.set()

    async def wait_begun(self) -> None:
        """Until the session is up; `Unreachable` if it never will be."""
        began, ended = self.loop.create_task(self.began.wait()), self.loop.create_task(self.ended.wait())
        try:
            await asyncio.wait((began, ended), return_when=asyncio.FIRST_COMPLETED)
        finally:
            began.cancel()
            ended.cancel()
            await asyncio.wait((began, ended))
        if self.fault is not None:
            raise Unreachable(self.fault)

    async def close(self, within: float) -> None:
        """Says goodbye and waits a little for the server to say it too."""
        if self.transport is not None:
            self.send_raw(self._last_words() + self.stream_footer)
            try:
                async with asyncio.timeout(within):
                    await self.ended.wait()
            except TimeoutError:
                pass
        self.fail(Fault("closed", "closed by us"))
        await self.gone()

    async def gone(self) -> None:
        """After the end: none of our tasks is left."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    async def drain(self) -> None:
        """Waits until the network has taken most of what was sent."""
        await self._writable.wait()

    def send_raw(self, data: str | bytes) -> None:
        """Collects what is sent in one turn of the loop into one write: a quarter of the time at 100 B.

        What is said while we read goes when all is read, without another turn.
        """
        if self.transport is None:
            return
        self._out.append(data.encode() if isinstance(data, str) else data)
        if self._flushing is None and not self._reading:
            self._flushing = self.loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = None
        if self.transport is not None and self._out and not self.transport.is_closing():
            self._out.append(self._riding_along().encode())
            self.transport.write(b"".join(self._out))
        self._out.clear()

    # --- reading

    def _opened(self, attributes: dict[str, str]) -> None:
        self.stream_id = attributes.get("id", "")

    def _closed_by_peer(self) -> None:
        self.fail(self._refusal() or Fault("closed", "the server closed the session"))

    def _cut_short(self, why: str) -> None:
        self._log.warning("the content of a stanza was not read: it %s", why)

    def _start(self, step: Coroutine[Any, Any, None]) -> None:
        """Runs a step of the negotiation, which ends with the connection."""
        task = self.loop.create_task(self._watched(step))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _watched(self, step: Coroutine[Any, Any, None]) -> None:
        try:
            await step
        except Exception as error:
            self.fail(Fault("bug", f"the server was not understood: {where(error)}"))

    # --- what slixmpp must not do here

    def exception(self, exception: BaseException) -> None:
        """An error in one of its handlers, which it would put on its own log."""
        self._log.error("the stream of %s: %s", self._login.jid, where(exception))

    def _start_keepalive(self, event: Any) -> None:
        """Spaces tell nothing about a dead network; `Connection` pings."""

    def _remove_schedules(self, event: Any) -> None:
        """See `_end`."""
