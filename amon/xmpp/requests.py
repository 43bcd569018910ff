"""Requests (IQ): ours with their answers, and the few we answer to others. RFC 6120, 8.2.3; XEP-0030, 0128, 0199."""

import asyncio
import secrets
from collections.abc import Callable, Mapping
from xml.etree.ElementTree import Element

from amon.errors import Invalid
from amon.xmpp import faults, names
from amon.xmpp.address import full, split
from amon.xmpp.faults import StanzaError
from amon.xmpp.forms import read_form, result_form
from amon.xmpp.markup import child
from amon.xmpp.room import error_condition

_QUERY = f"{{{names.DISCO_INFO}}}query"


class Requests:
    """Requests under way. An answer counts only if it comes from where the request went."""

    def __init__(self, account: str) -> None:
        self._account = account
        self._waiting: dict[str, tuple[str, asyncio.Future[Element]]] = {}

    async def ask(
        self, post: Callable[[Element], None], to: str | None, kind: str, content: Element, within: float
    ) -> Element:
        """The answer; `StanzaError` for an error, condition `timeout` for none."""
        id = secrets.token_hex(8)  # noqa: A001
        iq = Element(names.IQ, {"type": kind, "id": id, **({"to": to} if to else {})})
        iq.append(content)
        future: asyncio.Future[Element] = asyncio.get_running_loop().create_future()
        self._waiting[id] = (full(to) if to else "", future)
        try:
            post(iq)
            async with asyncio.timeout(within):
                return await future
        except TimeoutError:
            raise StanzaError("timeout", f"{to or 'the server'} did not answer in {within:g} s") from None
        finally:
            self._waiting.pop(id, None)

    def answered(self, iq: Element) -> None:
        """Takes an answer; one that nobody waits for, or from elsewhere, is nothing."""
        to, future = self._waiting.get(iq.get("id", ""), ("", None))
        if future is None or future.done() or not self._from(iq.get("from"), to):
            return
        if iq.get("type") == "result":
            future.set_result(iq)
        else:
            condition = error_condition(iq)
            future.set_exception(StanzaError(condition, f"{to or 'the server'}: {faults.words(condition)}"))

    def _from(self, sender: str | None, to: str) -> bool:
        # RFC 6120, 8.1.2.1: what our account answers itself comes without from, or from our address.
        if not sender:
            return to in ("", self._account)
        bare, resource = split(sender)
        if to in ("", self._account):
            return bare in (self._account, self._account.rpartition("@")[2])
        return (f"{bare}/{resource}" if resource else bare) == to

    def abandon(self) -> None:
        """The session ended: nobody will answer."""
        for to, future in self._waiting.values():
            if not future.done():
                future.set_exception(StanzaError("offline", f"the session ended before {to or 'the server'} answered"))


def answer(
    iq: Element, account: str, facts: Mapping[str, tuple[str, ...]], trusted: bool, commands: bool = False
) -> Element:
    """Our answer to somebody's request. What we are is told only to those who may see us; everybody may ping.

    commands: whether he can use our commands as forms, from where he asks.
    """
    content = iq[0] if len(iq) else None
    own = not iq.get("from") or iq.get("from") == account
    if content is not None and iq.get("type") == "get" and content.tag == names.PING:
        return _reply(iq)
    if content is not None and own and content.tag == f"{{{names.ROSTER}}}query":
        return _reply(iq)  # a roster push (RFC 6121, 2.1.6): taken note of, nothing kept
    asks_info = content is not None and content.tag == _QUERY and not content.get("node")
    if trusted and iq.get("type") == "get" and asks_info:
        reply = _reply(iq)
        reply.append(_info(facts, commands))
        return reply
    return error(iq)


def _reply(iq: Element, kind: str = "result") -> Element:
    attributes = {"type": kind, "id": iq.get("id", "")}
    if iq.get("from"):
        attributes["to"] = iq.get("from", "")
    return Element(names.IQ, attributes)


def error(iq: Element, condition: str = "service-unavailable", text: str = "") -> Element:
    """That we do not do it; what we say to everybody who may not know more."""
    reply = _reply(iq, "error")
    made = child(reply, names.ERROR, type="cancel")
    child(made, f"{{{names.STANZAS}}}{condition}")
    if text:
        child(made, f"{{{names.STANZAS}}}text", text)
    return reply


def _info(facts: Mapping[str, tuple[str, ...]], commands: bool) -> Element:
    query = Element(_QUERY)
    child(query, f"{{{names.DISCO_INFO}}}identity", category="client", type="bot", name="amon")
    for feature in (names.DISCO_INFO, "urn:xmpp:ping", names.AMON_NS, *((names.COMMANDS,) if commands else ())):
        child(query, f"{{{names.DISCO_INFO}}}feature", var=feature)
    if facts:
        query.append(result_form(names.SITE_FORM, facts))
    return query


def info_query() -> Element:
    return Element(_QUERY)


def read_features(iq: Element) -> set[str]:
    return {e.get("var", "") for e in iq.iterfind(f"{_QUERY}/{{{names.DISCO_INFO}}}feature")}


def read_facts(iq: Element) -> dict[str, tuple[str, ...]]:
    """The form of an agent's service discovery, or nothing."""
    for form in iq.iterfind(f"{_QUERY}/{{{names.FORM}}}x"):
        fields = read_form(form)
        if fields.pop("FORM_TYPE", ()) == (names.SITE_FORM,):
            return fields
    return {}


def asker(iq: Element) -> str | None:
    """Bare address of who asks; None if it is none."""
    try:
        return split(iq.get("from", ""))[0]
    except Invalid:
        return None
