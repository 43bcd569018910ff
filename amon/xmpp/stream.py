"""One stream to a server: negotiation, login, session; stanzas handed to its owner in order.

Kept of slixmpp: stream features, STARTTLS, bind and stream management. Replaced, each for a reason that stands there:
I/O (pipe.py), login (signon.py), counting (acks.py), dispatch. RFC 6120, RFC 6121, XEP-0198.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable
from typing import Any, Protocol, cast
from xml.etree.ElementTree import Element

from slixmpp.exceptions import IqError, IqTimeout
from slixmpp.stanza import StreamFeatures
from slixmpp.xmlstream.stanzabase import StanzaBase

from amon.errors import Failed, Invalid
from amon.xmpp import faults, markup, names
from amon.xmpp.acks import Acks, Resume, Sent
from amon.xmpp.address import prepared_password
from amon.xmpp.faults import Fault
from amon.xmpp.guard import where
from amon.xmpp.login import Limits, Login
from amon.xmpp.passwords import REFUSED
from amon.xmpp.pipe import Pipe
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


class Stream(Pipe):
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
        super().__init__(login, context, limits, log)
        self._owner, self._trace = owner, trace
        self.enable_starttls, self.enable_direct_tls = login.tls == "starttls", login.tls == "direct"
        self._early: list[Element] = []
        # Own login: slixmpp's is replaced (see scram.py), and its plugin would still offer PLAIN.
        self.unregister_feature("mechanisms", 100)
        self.register_feature("mechanisms", self._authenticate, restart=True, order=100)
        self.register_plugin("xep_0198", {"window": 1 << 30})
        self._sm: Any = self.plugin["xep_0198"]
        self.acks = Acks(self._sm, self.send_raw, resume)
        self._sign_on = SignOn(
            login.jid,
            self.requested_jid.user,
            prepared_password(login.password),
            keys,
            self.send_raw,
            certificate=login.certificate is not None,
        )
        self.add_event_handler("sm_failed", self.acks.not_resumed)
        self.add_event_handler("session_resumed", lambda _: self._begin(resumed=True))
        self.init_plugins()  # type: ignore[no-untyped-call]

    def resume(self) -> Resume | None:
        """What the next stream may take up, unless the server ended the session itself."""
        fault = self.fault
        if fault is not None and (fault.word == "broken" or (fault.slow and self.began.is_set())):
            return None  # what broke the reader would come again
        return self.acks.resume()

    @property
    def password_refused(self) -> bool:
        """It ended because of the password: another one may do."""
        refusal = self._sign_on.refusal
        return refusal is not None and self.fault is refusal and refusal.word in REFUSED

    def _end(self) -> None:
        self.acks.stop()
        super()._end()

    def _riding_along(self) -> str:
        return self.acks.take_answer()

    def _last_words(self) -> str:
        return self.acks.last_answer()

    def _refusal(self) -> Fault | None:
        return self._sign_on.refusal

    # --- writing

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

    def _element(self, xml: Element) -> None:
        """One element of the stream. slixmpp would answer an error of ours with the exception's text to the peer."""
        if self._trace:
            self._log.info("< %s", markup.masked(xml))
        self._safely(self._take, xml)

    def _safely(self, take: Callable[[Element], None], xml: Element) -> None:
        try:
            take(xml)
        except Exception as error:
            level = logging.WARNING if isinstance(error, Invalid) else logging.ERROR
            self._log.log(level, "a %s was dropped: %s", markup.without_namespace(xml.tag)[:32], where(error))

    def _take(self, xml: Element) -> None:
        tag = xml.tag
        if tag in _STANZAS and self.live:
            self.acks.came()
            self._hand_over(xml)
        elif tag == _FEATURES:
            self._start(self._negotiate(xml))
        elif tag == _STREAM_ERROR:
            self._stream_error(xml)
        elif not self.authenticated:
            self._take_early(xml)
        elif tag == _SM_ASK:
            self.acks.asked()
        elif tag in (names.MESSAGE, names.PRESENCE):
            self.acks.came()
            if len(self._early) < _EARLY:
                self._early.append(xml)
        else:
            super()._spawn_event(xml)

    def _take_early(self, xml: Element) -> None:
        """Before the login only what leads to it counts: a `resumed` or a message in clear could be anybody's."""
        if xml.tag == _PROCEED:
            self._proceed()
        elif xml.tag == _TLS_FAILURE:
            self.fail(Fault("tls", "the server failed to start TLS"))
        elif xml.tag.startswith(SASL) and self._secure:
            self._login_step(xml)

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
        if self.authenticated or not self._secure:
            return False
        try:
            self._sign_on.start(features.xml)
        except NoLogin as error:
            self.fail(error.fault)
        return True

    def _login_step(self, xml: Element) -> None:
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
            self._safely(self._hand_over, xml)
        if resumed:
            self.acks.ask()
