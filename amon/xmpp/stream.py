"""One stream to a server, from TCP to its end: slixmpp's client with the parts replaced that did not hold.

Kept of slixmpp: stream features, STARTTLS and bind negotiation, stream management. Replaced, each for a reason that
stands there: reader, writer, TLS start, login, dispatch, reconnecting (`Connection`'s). RFC 6120, RFC 6121, XEP-0198.
"""

import asyncio
import logging
import ssl
from collections.abc import Coroutine
from typing import Any, Protocol, cast
from xml.etree.ElementTree import Element

from slixmpp import ClientXMPP
from slixmpp.exceptions import IqError, IqTimeout
from slixmpp.stanza import StreamFeatures
from slixmpp.xmlstream.stanzabase import StanzaBase

from amon.errors import Failed, Invalid
from amon.xmpp import faults, markup, names
from amon.xmpp.acks import Acks, Resume, Sent
from amon.xmpp.address import prepared_password
from amon.xmpp.faults import Fault, Unreachable
from amon.xmpp.guard import where
from amon.xmpp.login import Limits, Login
from amon.xmpp.reader import Broken, Reader
from amon.xmpp.scram import Keys
from amon.xmpp.signon import SASL, NoLogin, SignOn

_FEATURES = f"{{{names.STREAM}}}features"
_STREAM_ERROR = f"{{{names.STREAM}}}error"
_PROCEED = f"{{{names.TLS}}}proceed"
_TLS_FAILURE = f"{{{names.TLS}}}failure"
_SM_ASK = f"{{{names.SM}}}r"
_STANZAS = (names.MESSAGE, names.PRESENCE, names.IQ)
_EARLY = 200  # stanzas that may come between login and session


class Owner(Protocol):
    """Whose stream it is. Called in the order of the stream."""

    def begun(self, resumed: bool, lost: tuple[str, ...]) -> None: ...

    def message(self, element: Element) -> None: ...

    def presence(self, element: Element) -> None: ...

    def iq(self, element: Element) -> None: ...


def silence() -> None:
    """slixmpp's loggers write stanzas and SASL data at DEBUG and raw bytes at ERROR: none of them says anything."""
    theirs = logging.getLogger("slixmpp")
    theirs.propagate = False
    # Each one too: a level or a handler that somebody gives to one of them must not wake it.
    for name, logger in logging.root.manager.loggerDict.items():
        if name.startswith("slixmpp") and isinstance(logger, logging.Logger):
            logger.disabled = True


class Stream(ClientXMPP):
    """Made for one connection and thrown away with it; `resume` carries over what must survive."""

    def __init__(
        self,
        login: Login,
        owner: Owner,
        context: ssl.SSLContext,
        limits: Limits,
        log: logging.Logger,
        *,
        keys: Keys,
        resume: Resume | None = None,
        trace: bool = False,
    ) -> None:
        silence()
        resource = f"/{login.resource}" if login.resource else ""
        super().__init__(login.jid + resource, "", ssl_context=context)
        self._login, self._owner, self._limits, self._log, self._keys = login, owner, limits, log, keys
        self._trace = trace
        self.enable_starttls, self.enable_direct_tls = login.tls == "starttls", login.tls == "direct"
        self._reader: Reader | None = None
        self._out: list[bytes] = []
        self._flushing: asyncio.Handle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._early: list[Element] = []
        self._writable = asyncio.Event()
        self._writable.set()
        self._secure = self.live = False
        self.heard = 0  # bytes received, for the keepalive
        self.fault: Fault | None = None
        self.ended = asyncio.Event()
        self.began = asyncio.Event()
        # Own login: slixmpp's is replaced (see scram.py), and its plugin would still offer PLAIN.
        self.unregister_feature("mechanisms", 100)
        self.register_feature("mechanisms", self._authenticate, restart=True, order=100)
        self.register_plugin("xep_0198", {"window": 1 << 30})
        self._sm: Any = self.plugin["xep_0198"]
        self.acks = Acks(self._sm, self.send_raw, resume)
        self._sign_on = SignOn(
            login.jid, self.requested_jid.user, prepared_password(login.password), keys, self.send_raw
        )
        self.add_event_handler("sm_failed", self.acks.not_resumed)
        self.add_event_handler("session_resumed", lambda _: self._begin(resumed=True))
        self.init_plugins()  # type: ignore[no-untyped-call]

    # --- connection

    def connection_made(self, transport: Any, send_event: bool = True) -> None:
        """TCP is there, or TLS on top of it: the stream begins (anew)."""
        self.transport = transport
        self.socket = transport.get_extra_info("ssl_object", transport.get_extra_info("socket"))
        self._secure = transport.get_extra_info("ssl_object") is not None
        self.init_parser()
        self.send_raw(self.stream_header)

    def init_parser(self) -> None:
        if self._reader is not None:
            self._reader.close()
        self._reader = Reader(self._opened, self._spawn_event, self._closed_by_peer, self._cut_short, self._limits)

    def data_received(self, data: bytes | str) -> None:
        reader = self._reader
        if reader is None or isinstance(data, str):
            return
        self.heard += len(data)
        try:
            reader.feed(data)
        except Broken as broken:
            self.fail(Fault("broken", str(broken)))

    def eof_received(self) -> None:
        return None

    def connection_lost(self, exception: BaseException | None) -> None:
        """The transport is gone, whoever ended it."""
        if self.fault is None:
            where = self._login.host or self._login.domain
            lost = Fault("cut", f"{where} closed the connection")
            self.fault = self._sign_on.refusal or (faults.of_connection(exception, where, "") if exception else lost)
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
        self.acks.stop()
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
            self.send_raw(self.stream_footer)
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

    def resume(self) -> Resume | None:
        """What the next stream may take up, unless the server ended the session itself."""
        fault = self.fault
        if fault is not None and (fault.word == "broken" or (fault.slow and self.began.is_set())):
            return None  # what broke the reader would come again
        return self.acks.resume()

    # --- writing

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    async def drain(self) -> None:
        """Waits until the network has taken most of what was sent."""
        await self._writable.wait()

    def send_raw(self, data: str | bytes) -> None:
        """Collects what is sent in one turn of the loop into one write: a quarter of the time at 100 B."""
        if self.transport is None:
            return
        self._out.append(data.encode() if isinstance(data, str) else data)
        if self._flushing is None:
            self._flushing = self.loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = None
        if self.transport is not None and self._out and not self.transport.is_closing():
            self._out.append(self.acks.take_answer().encode())
            self.transport.write(b"".join(self._out))
        self._out.clear()

    def send(self, data: Any, use_filters: bool = True) -> None:
        """What slixmpp itself sends. Written and counted at once: its queue loses stanzas when a stream ends."""
        if isinstance(data, Sent):  # a resumed session sends again what was not acknowledged
            self.send_raw(data.text)
        elif isinstance(data, StanzaBase):
            if self._trace:
                self._log.info("> %s", markup.masked(data.xml))
            text = markup.serialise(data.xml)
            if use_filters and data.xml.tag in _STANZAS:
                self.acks.went(Sent("", text))
            elif use_filters:
                self._sm._handle_outgoing(data)
            self.send_raw(text)

    def post(self, element: Element) -> None:
        """Sends a stanza of ours; `Failed` if it is larger than servers take."""
        text = markup.serialise(element)
        if len(text) > self._limits.sent // 4 and len(text.encode()) > self._limits.sent:
            raise Failed(f"the message is larger than the {self._limits.sent // 1024} KiB that servers take")
        if self._trace:
            self._log.info("> %s", markup.masked(element))
        self.acks.went(Sent(element.get("id", "") if element.tag == names.MESSAGE else "", text))
        self.send_raw(text)
        if self.acks.waiting > self._limits.unacked:
            self.fail(Fault("unacked", "the server acknowledges nothing of what we send"))

    # --- reading

    def _opened(self, attributes: dict[str, str]) -> None:
        self.stream_id = attributes.get("id", "")

    def _cut_short(self, why: str) -> None:
        self._log.warning("the content of a stanza was not read: it %s", why)

    def _closed_by_peer(self) -> None:
        self.fail(self._sign_on.refusal or Fault("closed", "the server closed the session"))

    def _spawn_event(self, xml: Element) -> None:
        """One element of the stream. slixmpp would answer an error of ours with the exception's text to the peer."""
        try:
            self._take(xml)
        except Exception as error:
            level = logging.WARNING if isinstance(error, Invalid) else logging.ERROR
            self._log.log(level, "a %s was dropped: %s", markup.without_namespace(xml.tag)[:32], where(error))

    def _take(self, xml: Element) -> None:
        if self._trace:
            self._log.info("< %s", markup.masked(xml))
        tag = xml.tag
        if tag in _STANZAS and self.live:
            self.acks.came()
            self._hand_over(xml)
        elif tag == _SM_ASK:
            self.acks.asked()
        elif tag in (names.MESSAGE, names.PRESENCE):
            self.acks.came()
            if len(self._early) < _EARLY:  # they wait for the session; before login there is nothing to wait for
                self._early.extend([xml] if self.authenticated else [])
        elif tag == _FEATURES:
            self._start(self._negotiate(xml))
        elif tag == _PROCEED:
            self._proceed()
        elif tag.startswith(SASL):
            self._login_step(xml)
        elif tag == _STREAM_ERROR:
            self._stream_error(xml)
        elif tag == _TLS_FAILURE:
            self.fail(Fault("tls", "the server failed to start TLS"))
        else:
            super()._spawn_event(xml)

    def _hand_over(self, xml: Element) -> None:
        if xml.tag == names.MESSAGE:
            self._owner.message(xml)
        elif xml.tag == names.PRESENCE:
            self._owner.presence(xml)
        else:
            self._owner.iq(xml)

    def _stream_error(self, xml: Element) -> None:
        # slixmpp follows see-other-host and then checks the certificate for that name: a way round TLS.
        condition = markup.without_namespace(xml[0].tag) if len(xml) else ""
        self.fail(faults.of_stream(condition, self._login.domain))

    # --- negotiation

    def _start(self, step: Coroutine[Any, Any, None]) -> None:
        task = self.loop.create_task(self._watched(step))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _watched(self, step: Coroutine[Any, Any, None]) -> None:
        try:
            await step
        except Exception as error:
            self.fail(Fault("bug", f"the server was not understood: {where(error)}"))

    async def _negotiate(self, xml: Element) -> None:
        if not self._secure and xml.find(f"{{{names.TLS}}}starttls") is None:
            return self.fail(Fault("no-tls", "the server offers no TLS here, or somebody on the way hides it", True))
        try:
            await self._handle_stream_features(StreamFeatures(self, xml))
        except (IqError, IqTimeout) as error:
            condition = error.iq["error"]["condition"] if isinstance(error, IqError) else "timeout"
            return self.fail(Fault("bind", f"the server refuses a session: {faults.words(condition)}", True))
        if self.sessionstarted and not self.live:
            self._begin(resumed=False)
        return None

    def _proceed(self) -> None:
        if self._secure or self._reader is None:
            return
        # Whatever else came in clear is dropped: it could be anybody's (CVE-2011-0411 family).
        self._reader.close()
        self._start(self._start_tls())

    async def _start_tls(self) -> None:
        where_to = f"{self._login.host or self._login.domain}"
        try:
            secure = await self.loop.start_tls(
                cast(asyncio.Transport, self.transport), self, self.ssl_context, server_hostname=self._login.domain
            )
        except (OSError, ssl.SSLError) as error:
            return self.fail(faults.of_connection(error, where_to, self._login.domain))
        if self.ended.is_set():
            return secure.abort() if secure is not None else None
        self.features.add("starttls")
        self.connection_made(secure)
        return None

    def _authenticate(self, features: Any) -> bool:
        if self.authenticated:
            return False
        try:
            self._sign_on.start(features.xml)
        except NoLogin as error:
            self.fail(error.fault)
        return True

    def _login_step(self, xml: Element) -> None:
        if self.authenticated:
            return None
        try:
            self.authenticated = self._sign_on.step(xml)
        except NoLogin as error:
            return self.fail(error.fault)
        if self.authenticated:
            self.features.add("mechanisms")
            self.init_parser()
            self.send_raw(self.stream_header)
        return None

    def _begin(self, resumed: bool) -> None:
        lost = self.acks.take_lost()
        self.live = True
        self._owner.begun(resumed, () if resumed else lost)
        self.began.set()
        early, self._early = self._early, []
        for xml in early:
            self._hand_over(xml)
        if resumed:
            self.acks.ask()

    # --- what slixmpp must not do here

    def exception(self, exception: BaseException) -> None:
        """An error in one of its handlers, which it would put on its own log."""
        self._log.error("the stream of %s: %s", self._login.jid, where(exception))

    def _start_keepalive(self, event: Any) -> None:
        """Spaces tell nothing about a dead network; `Connection` pings."""

    def _remove_schedules(self, event: Any) -> None:
        """See `_end`."""
