"""What is tried against an agent by one stanza: each in the form that would be obeyed if its defence were not there.

`{word}` names the attempt. Those by alice are her own orders in a wrapping that must not be obeyed: what a server, an
archive, another client of hers, or somebody who kept them may send in her name.
"""

from dataclasses import dataclass
from xml.sax.saxutils import escape

from tests.e2e.world import ALICE
from tests.security.siege import AGENT, FULL, chat, payload, request

_CARBON = "<{0} xmlns='urn:xmpp:carbons:{1}'><forwarded xmlns='urn:xmpp:forward:0'>{2}</forwarded></{0}>"
_TO = f"from='{ALICE}/home' to='{FULL}' type='chat'"
_INNER = f"<message xmlns='jabber:client' {_TO}><body>mark {{word}}</body></message>"
_FORWARDED = f"<forwarded xmlns='urn:xmpp:forward:0'>{_INNER}</forwarded>"
_MAM = f"<result xmlns='urn:xmpp:mam:2' id='1'>{_FORWARDED}</result>"
_EVENT = "<event xmlns='http://jabber.org/protocol/pubsub#event'><items node='amon'><item id='1'/></items></event>"
_ERROR = "<error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
LATE = "<delay xmlns='urn:xmpp:delay' stamp='2026-01-01T00:00:00Z'/>"
OLD_LATE = "<x xmlns='jabber:x:delay' stamp='20260101T00:00:00'/>"
_CORRECTION = "<replace xmlns='urn:xmpp:message-correct:0' id='0'/>"
_REACTION = "<fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:reactions:0'/>"
_QUOTE = "<fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:reply:0'><body start='0' end='{end}'/></fallback>"
_HTML = "<body xmlns='http://www.w3.org/1999/xhtml'>mark {word}</body>"
_XHTML = f"<html xmlns='http://jabber.org/protocol/xhtml-im'>{_HTML}</html>"
_LINE = "mark {word}"


@dataclass(frozen=True, slots=True)
class Attack:
    """by: `alice`, `eve` or `thief`. xml: with `{word}` and, for a payload, `{payload}` in it."""

    name: str
    by: str
    xml: str

    def stanza(self, word: str, ident: str) -> str:
        made = self.xml.replace("{word}", word).replace("{end}", str(len(f"mark {word}")))
        made = made.replace("{payload}", escape(request(f"mark {word}", ident)))
        return made.replace("{elsewhere}", escape(request(f"mark {word}", ident, "desy")))


def _stolen(name: str, *inner: str, more: str = "", kind: str = "chat") -> tuple[Attack, ...]:
    """By a stranger, and by the thief of an agent's account, typed and as a payload."""
    return (
        Attack(f"{name}, typed, by a stranger", "eve", chat(_LINE, *inner, more=more, kind=kind)),
        Attack(f"{name}, typed, by a stolen agent", "thief", chat(_LINE, *inner, more=more, kind=kind)),
        Attack(f"{name}, a payload, by a stranger", "eve", payload("{payload}", *inner, more=more)),
        Attack(f"{name}, a payload, by a stolen agent", "thief", payload("{payload}", *inner, more=more)),
    )


def _wrapped(name: str, inner: str, kind: str = "chat") -> tuple[Attack, ...]:
    """Alice's own words with something beside them."""
    return (
        Attack(f"{name}, typed", "alice", chat(_LINE, inner, kind=kind)),
        Attack(f"{name}, a payload", "alice", payload("{payload}", inner, kind="normal" if kind == "chat" else kind)),
    )


ATTACKS: tuple[Attack, ...] = (
    *_stolen("an order of one's own"),
    *_stolen("from forged as alice", more=f"from='{ALICE}/home'"),
    *_stolen("from forged as the agent itself", more=f"from='{AGENT}'"),
    Attack("from forged as the server", "eve", chat(_LINE, more="from='amon.test'")),
    Attack("received carbon of alice, by a stranger", "eve", chat("x", _CARBON.format("received", 2, _INNER))),
    Attack("sent carbon of alice, by a stranger", "eve", chat("x", _CARBON.format("sent", 2, _INNER))),
    Attack("old carbon of alice, by a stranger", "eve", chat("x", _CARBON.format("received", 1, _INNER))),
    Attack("archive result of alice, by a stranger", "eve", chat("x", _MAM)),
    Attack("forwarded alice, by a stranger", "eve", chat("x", _FORWARDED)),
    Attack("pubsub event, by a stranger", "eve", payload("{payload}", _EVENT)),
    *_wrapped("beside a received carbon", _CARBON.format("received", 2, _INNER)),
    *_wrapped("beside a sent carbon", _CARBON.format("sent", 2, _INNER)),
    *_wrapped("beside an archive result", _MAM),
    *_wrapped("beside a forwarded message", _FORWARDED),
    *_wrapped("beside a pubsub event", _EVENT),
    *_wrapped("kept on the way (XEP-0203)", LATE),
    *_wrapped("kept on the way (XEP-0091)", OLD_LATE),
    *_wrapped("as an error that bounces", _ERROR, kind="error"),
    *_wrapped("as a headline", "", kind="headline"),
    *_wrapped("as a message of a room", "", kind="groupchat"),
    Attack("a correction of an earlier line", "alice", chat(_LINE, _CORRECTION)),
    Attack("the fallback of a reaction", "alice", chat(_LINE, _REACTION)),
    Attack("inside the quote of a reply", "alice", chat(_LINE, _QUOTE)),
    Attack("in the XHTML only", "alice", chat("hello", _XHTML)),
    Attack("with a hidden character", "alice", chat("mark\u200b {word}")),
    Attack("in a right-to-left override", "alice", chat("mark \u202e{word}")),
    Attack("an unclosed quote", "alice", chat('mark "{word}')),
    Attack("in another namespace", "alice", payload("{payload}").replace("urn:amon:1", "urn:amon:2")),
    Attack("for another site", "alice", payload("{elsewhere}")),
)
