"""Targets for what comes over the wire: payloads, health, streams of bytes, stanzas, forms."""

from xml.etree.ElementTree import Element

from amon.errors import Invalid
from amon.wire import HealthReport, WireError, decode, decode_health, encode
from amon.wire.health import encode_health
from amon.xmpp import names
from amon.xmpp.events import Bounced, Received
from amon.xmpp.forms import read_form
from amon.xmpp.incoming import read_message, read_presence
from amon.xmpp.login import Limits
from amon.xmpp.markup import masked, serialise
from amon.xmpp.reader import Broken, Reader
from amon.xmpp.requests import answer, read_facts, read_features
from amon.xmpp.room import Room
from tests.fuzz.target import Target, must, text_of

ME, OPS = "cern@agents.amon.test", "ops@rooms.amon.test"
OPEN = b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' id='s1' version='1.0'>"
_USER = "http://jabber.org/protocol/muc#user"
_LIMITS = Limits(stanza=2048, depth=16)


def codec(data: bytes) -> None:
    """A payload, and back."""
    try:
        payload = decode(text_of(data))
    except WireError as wrong:
        must(len(str(wrong)) < 1000, "an error is a line of the log")
        return
    try:
        again = decode(encode(payload))
    except WireError:
        return  # not every text that comes may go
    must(again == payload, "a payload travels unharmed")


def health(data: bytes) -> None:
    """What a site says in its presence, and the shortening of it."""
    try:
        report = decode_health(text_of(data))
    except WireError:
        return
    must(isinstance(report, HealthReport), "it is a report or an error")
    try:
        encode_health(report)
    except UnicodeEncodeError:
        return  # a lone surrogate that came escaped; our own texts have none


class Heard:
    """What a reader hands on."""

    def __init__(self) -> None:
        self.stanzas: list[Element] = []
        self.broken = ""
        self.reader = Reader(lambda attributes: None, self.stanzas.append, lambda: None, lambda why: None, _LIMITS)

    def feed(self, *pieces: bytes) -> "Heard":
        try:
            for piece in pieces:
                self.reader.feed(piece)
        except Broken as wrong:
            self.broken = str(wrong)
        return self

    @property
    def said(self) -> list[str]:
        return [repr((stanza.tag, stanza.attrib, stanza.get(names.UNREAD) or _text(stanza))) for stanza in self.stanzas]


def _text(stanza: Element) -> str:
    return "".join(stanza.itertext())


def reader(data: bytes) -> None:
    """A stream in one piece and cut at a place that the first byte names: the same stanzas."""
    place = data[0] if data else 0
    data = data[1:]
    whole = Heard().feed(OPEN, data)
    parts = Heard().feed(OPEN, data[:place], data[place:])
    if not whole.broken and not parts.broken:
        must(whole.said == parts.said, "it does not matter where the bytes are cut")
    for stanza in whole.stanzas:
        serialise(stanza)
        masked(stanza)


def stanza(data: bytes) -> None:
    """One stanza through all that reads stanzas; an address that is none is the one error."""
    heard = Heard().feed(OPEN, data)
    room = _room()
    for one in heard.stanzas:
        try:
            _message(one, room)
            room.presence(one)
            read_presence(one)
            room.settings_changed(one)
            if len(one):
                answer(one, ME, {}, trusted=False)
        except Invalid:
            continue


def _room() -> Room:
    room = Room(OPS, "cern")
    room.join("cern")
    made = Heard().feed(
        OPEN,
        f"<presence from='{OPS}/alice'><x xmlns='{_USER}'><item jid='alice@amon.test/d'/></x></presence>".encode(),
        f"<presence from='{OPS}/cern'><x xmlns='{_USER}'><status code='110'/></x></presence>".encode(),
    )
    for presence in made.stanzas:
        room.presence(presence)
    return room


def _message(one: Element, room: Room) -> None:
    event = read_message(one, {OPS: room}, ME)
    if event is None or isinstance(event, Bounced):
        return
    must(isinstance(event, Received), "a message is an event or nothing")
    must(event.sender != ME, "our own words are nobody's order")
    wrapped = [part.tag for part in one if "carbons:" in part.tag or "urn:xmpp:forward:" in part.tag]
    must(not wrapped, "a wrapped message is dropped whole")


def forms(data: bytes) -> None:
    """Data forms and service discovery, as they come in an answer."""
    for one in Heard().feed(OPEN, data).stanzas:
        for part in one.iter():
            values = read_form(part)
            must("" not in values, "a field without a name is none")
            read_facts(part)
            read_features(part)


_TAGS = (
    "<message", "<presence", "<iq", " type='", " from='", "</message>", "<body>", "</body>", "/>", "<x xmlns='", "'>",
    "<forwarded xmlns='urn:xmpp:forward:0'/>", "<delay xmlns='urn:xmpp:delay'/>", f"{OPS}/alice", "groupchat", "&lt;",
    "<fallback xmlns='urn:xmpp:fallback:0'><body start='1' end='2'/></fallback>", "<amon xmlns='urn:amon:1'>",
)  # fmt: skip
_JSON = (
    '{"v":1,"body":"',
    '{\\"type\\":\\"request\\"',
    '"sig"',
    '\\"id\\":',
    "null",
    "[",
    "{",
    '"}',
    "1e999",
    "\\ud800",
)

TARGETS = (
    Target("codec", codec, _JSON, 200),
    Target("health", health, ('{"level":"ok","ok":1', ',"bad":[["a","b","c"]]', "}", "1000001"), 150),
    Target("reader", reader, (*_TAGS, "<!DOCTYPE", "<!--", "<?", "]]>", "&#0;"), 40),
    Target("stanza", stanza, _TAGS, 40),
    Target("forms", forms, ("<iq>", "</iq>", "<x xmlns='jabber:x:data'>", "<field var='", "<value>", "</x>"), 60),
)
