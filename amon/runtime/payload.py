"""The front for programs: payloads of a console, in a room or direct, and what goes back to it.

A payload is an order only from a real address, in time, and either straight to this account or through a room that is
configured and safe. All else is dropped without a word. A signed one says itself until when it is good, so it may come
late straight to this account; through a room never.
"""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from amon.access import RESULT, BadSignature, Quota
from amon.clock import Clock
from amon.errors import Failed
from amon.ids import digest, new_id
from amon.runtime.dispatch import Dispatch
from amon.runtime.incoming import Door, Incoming, Output
from amon.runtime.policing import Accept, PolicyFront
from amon.runtime.seals import Unreadable
from amon.wire import (
    Accepted,
    Cancel,
    Ended,
    Fetch,
    Gathered,
    Heard,
    NeedsWord,
    NewPolicy,
    Payload,
    Progress,
    Proof,
    Request,
    Sealed,
    WireError,
    body_of,
    encode,
    read_payload,
    seal,
    unseal,
)
from amon.words import NOT_KNOWN, Asker, Effect, State
from amon.xmpp.events import Bounced, Received

if TYPE_CHECKING:
    from amon.runtime.chunks import Chunks
    from amon.runtime.sending import Sending

Send = Callable[[str, str, str], bool]  # to, payload, id -> whether it went out
Sign = Callable[[bytes, str], str]  # message, namespace -> signature of this site

_ACCEPT_AFTER = 0.1  # seconds: a call that ends sooner needs no acceptance, its outcome is one
_MANY = 200  # sites; above this, first signs of life are spread over some seconds
_SPREAD = 2.0  # seconds
_FETCHES = (200, 10.0)  # of one asker in so many seconds: a console that comes back asks for every job it has open
_ID = re.compile(r"([0-7][0-9A-HJKMNP-TV-Z]{25})(-ask)?")  # of a message that carries a request


async def _at_once() -> None:
    pass


class PayloadFront:
    """site: this site's name in the account. send: puts a payload on its way to a full address.

    sign: with the site's own key, if it has one; then what a call came to is told signed. accept: takes over policies
    of the whole fleet, where there is an organisation that makes them. gathered: told what a hub says it has said on.
    drain: until the network has taken most of what was sent.
    """

    def __init__(
        self,
        site: str,
        door: Door,
        dispatch: Dispatch,
        send: Send,
        clock: Clock,
        random: Random,
        sign: Sign | None = None,
        accept: Accept | None = None,
        gathered: Callable[[Asker, Gathered], None] = lambda asker, word: None,
        drain: Callable[[], Awaitable[None]] = _at_once,
    ) -> None:
        self._site = site
        self.door = door
        self._dispatch = dispatch
        self._send = send
        self._clock = clock
        self._random = random
        self._sign = sign
        self._gathered = gathered
        self._policies = PolicyFront(door, dispatch, clock, accept)
        self._drain = drain
        self._fetches = Quota(*_FETCHES)
        self._chunks: Chunks | None = None
        self._sendings: dict[tuple[str, str], Sending] = {}
        self._log = logging.getLogger("amon.payload")

    async def received(self, message: Received) -> None:
        """Handle one payload to its end."""
        if message.sender is None or message.private_in_room or message.payload is None:
            return
        asker, sealed = Asker(message.sender, message.reply_to, message.room), None
        try:
            sealed = unseal(message.payload)
            if sealed.sig is not None and not (message.delayed and message.room):
                await self._signed(sealed, asker, message.id or "")
            elif sealed.sig is None and not message.delayed:
                await self._unsigned(read_payload(sealed.body), asker, digest(sealed.body))
        except WireError as wrong:
            # What strangers send must not fill the log, and is not answered.
            known = self._is_known(asker)
            self._log.log(logging.WARNING if known else logging.DEBUG, "from %s: %s", asker, wrong)
            if known and sealed is not None:
                await self._unread(sealed, asker)

    def bounced(self, bounce: Bounced) -> None:
        """Something could not be delivered. Whoever cannot be reached by a session any more does not hear it."""
        ident, _, kind = (bounce.id or "").partition("-")
        if kind == "output" and (sending := self._sendings.get((bounce.to, ident))) is not None:
            sending.gone()

    async def _signed(self, sealed: Sealed, asker: Asker, ident: str) -> None:
        """The request's own id is not read before the signature; a refusal goes by the id of the message."""
        now, door, asked = self._clock.time(), self.door, digest(sealed.body)
        try:
            request, key = self._dispatch.seals.open(sealed, asker.jid, door, now)
        except BadSignature as bad:
            if isinstance(bad, Unreadable) and await self._unread(sealed, asker):
                return
            known = _ID.fullmatch(ident)
            incoming = Incoming(known[1] if known else new_id(now), asker, "", door)
            await self._dispatch.reject(incoming, str(bad), self._replies(asker, incoming.id, asked))
            return
        await self._request(request, replace(asker, key=key), asked)

    async def _unread(self, sealed: Sealed, asker: Asker) -> bool:
        """An order of a newer version: not done, and said so. Of what is signed, the signature was verified before."""
        from amon.runtime.unread import unread

        found = unread(sealed.body, self._site, asker.room is None)
        if found is not None:
            incoming = Incoming(found.id, asker, found.line, self.door, unread=found.why)
            await self._dispatch.handle(incoming, self._replies(asker, found.id, digest(sealed.body)))
        return found is not None

    async def _unsigned(self, payload: Payload, asker: Asker, asked: str) -> None:
        if isinstance(payload, Request):
            await self._request(payload, asker, asked)
        elif isinstance(payload, Fetch):
            await self._fetch(payload, asker, asked)
        elif isinstance(payload, NewPolicy):
            self._say(asker, await self._policies.received(payload, asker), asked)
        elif isinstance(payload, Gathered):
            self._gathered(asker, payload)
        elif isinstance(payload, Heard):
            sending = self._sendings.get((asker.reply_to, payload.id))
            if sending is not None:
                sending.heard(payload.seq)
        elif isinstance(payload, Cancel):
            self._dispatch.cancel((self.door.account, asker.jid, payload.id))

    async def _request(self, request: Request, asker: Asker, asked: str) -> None:
        """asked: digest of the body it came in."""
        if self._site not in request.names:
            return
        incoming = Incoming(
            request.id,
            asker,
            request.line,
            self.door,
            deadline=request.deadline,
            sites=max(request.job_sites, len(request.names)),
            confirmed=request.confirmed,
            dry_run=request.dry_run,
            asked=asked,
            probed=request.sites,
        )
        replies = self._replies(asker, request.id, asked)
        replies.wait = _ACCEPT_AFTER if request.job_sites <= _MANY else self._random.uniform(_ACCEPT_AFTER, _SPREAD)
        try:
            await self._dispatch.handle(incoming, replies)
            replies.accept_now()
        finally:
            replies.close()

    async def _fetch(self, fetch: Fetch, asker: Asker, asked: str) -> None:
        if not self._is_known(asker):
            return
        if fetch.offset is not None:
            await self._part(fetch, fetch.offset, asker)
            return
        if not self._fetches.take(asker.jid, self._clock.monotonic()):
            self._log.debug("%s fetches more than %d in %g s: %s is not answered", asker, *_FETCHES, fetch.id)
            return
        replies = self._replies(asker, fetch.id, asked)
        try:
            if not await self._dispatch.repeat((self.door.account, asker.jid, fetch.id), replies, replies.answers):
                replies.ended(Ended(fetch.id, State.expired, NOT_KNOWN))
            replies.accept_now()
        except Failed as fault:  # no word is better than a wrong one: the asker's book says that it is not known
            self._log.error("%s", fault)
        finally:
            replies.close()

    async def _part(self, fetch: Fetch, offset: int, asker: Asker) -> None:
        if self._chunks is None:
            from amon.runtime.chunks import Chunks

            self._chunks = Chunks(self.door, self._dispatch, self._send, self._drain, self._clock)
        await self._chunks.answer(fetch, offset, asker)

    def _is_known(self, asker: Asker) -> bool:
        decision = self.door.authority.decide(asker, None, self._clock.time())
        return decision.allowed or decision.sign

    def _replies(self, asker: Asker, ident: str, asked: str) -> "WireReplies":
        tell = partial(self._output, asker)
        return WireReplies(ident, asked, partial(self._say, asker), tell, self._clock)

    def _output(self, asker: Asker, session: Output) -> None:
        """Tell a session to the one address that asked for it, and to no other of his."""
        from amon.runtime.sending import Sending

        key = asker.reply_to, session.id
        if key not in self._sendings:
            self._sendings[key] = Sending(session, partial(self._send_part, asker), self._clock)
        self._sendings[key].go()
        if session.over:
            self._sendings.pop(key).close()

    def _send_part(self, asker: Asker, payload: Payload) -> bool:
        return self._send(asker.reply_to, encode(payload), f"{payload.id}-output")

    def _say(self, asker: Asker, payload: Payload, asked: str) -> None:
        text = self.written(asker.jid, payload, asked)
        if not self._send(asker.reply_to, text, f"{payload.id}-{type(payload).__name__.lower()}"):
            # It is in the journal; the asker fetches it, or the book says what became of the site.
            self._log.info("no way to %s for %s of %s", asker.full, type(payload).__name__, payload.id)

    def written(self, to: str, payload: Payload, asked: str) -> str:
        """The payload as it travels to a bare address. asked: digest of what it answers."""
        return self._proven(to, payload, asked) if isinstance(payload, Ended) and self._sign else encode(payload)

    def _proven(self, to: str, ended: Ended, asked: str) -> str:
        """Signed by this site, so that no server on the way can make up or change what it came to."""
        assert self._sign is not None
        body = body_of(Proof(self.door.jid, to, self._clock.time(), ended, asked))
        return seal(body, self._sign(body.encode(), RESULT))


class WireReplies:
    """`Replies` as payloads. Acceptance waits a moment: most calls end before it would be worth a message.

    asked: digest of the body that they answer.
    """

    def __init__(
        self,
        ident: str,
        asked: str,
        say: Callable[[Payload, str], None],
        output: Callable[[Output], None],
        clock: Clock,
    ) -> None:
        self.wait = 0.0
        self._output = output
        self._id = ident
        self._asked = asked
        self._tell = say
        self._clock = clock
        self._later: asyncio.Task[None] | None = None

    def answers(self, asked: str) -> None:
        """The call was asked in the body of this digest. A `Fetch` has only its id, which could be on another line."""
        self._asked = asked or self._asked

    def accepted(self, what: str) -> None:
        self._later = asyncio.create_task(self._accept_later(), name=f"accept {self._id}")

    def progress(self, text: str, fraction: float | None) -> None:
        self._say(Progress(self._id, text, fraction))

    def needs_word(self, effect: Effect, plan: str, signature: bool) -> None:
        self._say(NeedsWord(self._id, effect, plan, signature))

    def output(self, session: Output) -> None:
        self._output(session)

    def ended(self, outcome: Ended) -> None:
        self.close()
        self._say(outcome)

    def accept_now(self) -> None:
        """The request is known here and under way by another message: there is nothing to wait for."""
        if self._later is not None:
            self.close()
            self._say(Accepted(self._id))

    def close(self) -> None:
        if self._later is not None:
            self._later.cancel()
            self._later = None

    async def _accept_later(self) -> None:
        await self._clock.sleep(self.wait)
        self._later = None
        self._say(Accepted(self._id))

    def _say(self, payload: Payload) -> None:
        self._tell(payload, self._asked)
