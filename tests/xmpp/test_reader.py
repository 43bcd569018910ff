"""The reader in front of everything: whole stanzas in order, however the bytes are cut; limits that hold."""

from xml.etree.ElementTree import Element, fromstring, tostring

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amon.xmpp import names
from amon.xmpp.login import Limits
from amon.xmpp.markup import legal, masked, serialise
from amon.xmpp.reader import Broken, Reader

OPEN = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' id='s1' version='1.0'>"


class Heard:
    def __init__(self, limits: Limits | None = None) -> None:
        self.stanzas: list[Element] = []
        self.opened: dict[str, str] = {}
        self.ended = False
        self.cut: list[str] = []
        self.reader = Reader(self.opened.update, self.stanzas.append, self._end, self.cut.append, limits or Limits())

    def _end(self) -> None:
        self.ended = True

    def feed(self, *texts: str | bytes) -> "Heard":
        for text in texts:
            self.reader.feed(text.encode() if isinstance(text, str) else text)
        return self


def test_stanzas_come_whole_and_in_order() -> None:
    heard = Heard().feed(OPEN, "<message><body>a</body></message> \n<presence/>", "<iq id='1'><x xmlns='u'/></iq>")
    assert heard.opened["id"] == "s1"
    assert [stanza.tag for stanza in heard.stanzas] == [names.MESSAGE, names.PRESENCE, names.IQ]
    assert heard.stanzas[0].findtext(names.BODY) == "a"
    assert heard.stanzas[2][0].tag == "{u}x"


def test_the_end_of_the_stream_is_told() -> None:
    assert Heard().feed(OPEN, "</stream:stream>").ended


@pytest.mark.parametrize(
    "body", ["<body>1 &gt; 0 > \U0001f600</body>", "<x xmlns='u' y='a long attribute, then little more'/>"]
)
def test_the_last_stanza_never_waits_for_the_next_one_wherever_it_was_cut(body: str) -> None:
    stanza = f"<message id='a>b' to=\"it's\">{body}</message>".encode()
    for place in range(1, len(stanza)):
        heard = Heard().feed(OPEN).feed(stanza[:place]).feed(stanza[place:])
        assert [one.get("id") for one in heard.stanzas] == ["a>b"], place
    alone = b"<presence id='one tag, and nothing that comes after it'/>"
    for place in range(1, len(alone)):
        assert len(Heard().feed(OPEN).feed(alone[:place]).feed(alone[place:]).stanzas) == 1, place


@given(st.lists(st.integers(1, 120), max_size=12))
def test_it_does_not_matter_how_the_bytes_are_cut(places: list[int]) -> None:
    data = (OPEN + "<message from='é@x'><body>ä &amp; \U0001f600</body></message><presence/>").encode()
    heard = Heard()
    for start, end in zip([0, *sorted(places)], [*sorted(places), len(data)], strict=True):
        heard.feed(data[start:end])
    assert [stanza.tag for stanza in heard.stanzas] == [names.MESSAGE, names.PRESENCE]
    assert heard.stanzas[0].findtext(names.BODY) == "ä & \U0001f600"


@pytest.mark.parametrize(
    "text",
    [
        "<!DOCTYPE x [<!ENTITY a 'b'>]>",
        "<?xml version='1.0' encoding='UTF-16'?><!DOCTYPE x>",
        OPEN + "<!-- c -->",
        OPEN + "<?pi x?>",
        OPEN + "text",
        OPEN + "<message></presence>",
        OPEN + "<message>&unknown;</message>",
        OPEN + "<message a='1' a='2'/>",
        OPEN + "<x:message/>",
        OPEN + "<message>\x00</message>",
        b"\xff\xfe<\x00s\x00",
        "not xml at all",
    ],
)
def test_what_xmpp_forbids_ends_the_stream(text: str | bytes) -> None:
    with pytest.raises(Broken):
        Heard().feed(text, "<x/>")


def test_a_stanza_of_the_allowed_size_passes_and_one_beyond_does_not() -> None:
    limits = Limits(stanza=100_000)
    heard = Heard(limits).feed(OPEN, f"<message><body>{'x' * 90_000}</body></message>" * 5)
    assert len(heard.stanzas) == 5


def test_a_longer_stanza_comes_without_its_content_and_the_next_one_whole() -> None:
    heard = Heard(Limits(stanza=100_000))
    heard.feed(OPEN, f"<message id='1'><body>{'x' * 300_000}</body></message>", "<message><body>a</body></message>")
    assert [(stanza.get("id"), stanza.findtext(names.BODY)) for stanza in heard.stanzas] == [("1", None), (None, "a")]
    assert heard.cut == ["is longer than 97 KiB"]


@pytest.mark.parametrize(
    "endless", ["<message><body>" + "x" * 1000, "<message a='" + "x" * 1000, "<message" + " " * 1000]
)
def test_an_endless_stanza_is_stopped_wherever_it_does_not_end(endless: str) -> None:
    heard = Heard(Limits(stanza=50_000)).feed(OPEN)
    with pytest.raises(Broken, match="may never end"):
        heard.feed(endless, *(endless[-1000:] for _ in range(600)))


def test_keepalives_never_add_up_to_a_stanza() -> None:
    heard = Heard(Limits(stanza=2_000)).feed(OPEN)
    for _ in range(100):
        heard.feed(" " * 100)
    assert not heard.feed("<presence/>").stanzas[1:]


def test_depth_is_limited_exactly() -> None:
    def nested(depth: int) -> str:
        return "<message>" + "<a>" * depth + "</a>" * depth + "</message>"

    heard = Heard(Limits(depth=10)).feed(OPEN, nested(8), nested(9), nested(50_000), nested(8))
    assert [len(stanza) for stanza in heard.stanzas] == [1, 0, 0, 1]
    assert heard.cut == ["is nested deeper than 10"] * 2


def test_the_number_of_elements_is_limited_exactly() -> None:
    def many(count: int) -> str:
        return "<message>" + "<a/>" * (count - 1) + "</message>"

    heard = Heard(Limits(elements=100)).feed(OPEN, many(99), many(100), many(101), many(100_000), many(100))
    assert [len(stanza) for stanza in heard.stanzas] == [98, 99, 0, 0, 99]
    assert heard.cut == ["has more than 100 elements"] * 2


def test_a_stanza_of_the_smallest_elements_does_not_become_many_times_its_size() -> None:
    limits = Limits()
    heard = Heard(limits).feed(OPEN, "<message>" + "<a/>" * (limits.stanza // 4 - 10) + "</message>")
    assert [len(stanza) for stanza in heard.stanzas] == [0]


def test_invented_names_do_not_fill_the_memory() -> None:
    heard = Heard().feed(OPEN)
    stanzas = [f"<message><n{number} a{number}=''/></message>" for number in range(20_000)]
    with pytest.raises(Broken, match="different names"):
        heard.feed(*stanzas)


def test_nothing_is_read_after_the_stream_started_anew() -> None:
    heard = Heard()

    def stanza(element: Element) -> None:
        heard.stanzas.append(element)
        heard.reader.close()

    heard.reader = Reader(heard.opened.update, stanza, lambda: None, print, Limits())
    heard.feed(OPEN, "<message/><presence/>", "<iq/>")
    assert [stanza.tag for stanza in heard.stanzas] == [names.MESSAGE]


_TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=40)
_NAME = st.sampled_from(["{jabber:client}body", "{urn:amon:1}amon", "{u:x'&<}y", "plain"])


@st.composite
def elements(draw: st.DrawFn, depth: int = 3) -> Element:
    made = Element(draw(_NAME), draw(st.dictionaries(st.sampled_from(["a", "id", f"{{{names.XML}}}lang"]), _TEXT)))
    made.text = draw(_TEXT)
    for _ in range(draw(st.integers(0, 2)) if depth else 0):
        inner = draw(elements(depth - 1))
        inner.tail = draw(_TEXT)
        made.append(inner)
    return made


def same(a: Element, b: Element) -> bool:
    """What was sent, but for what XML cannot carry."""
    texts = legal(a.text or "") == (b.text or "") and (legal(a.tail or "") == (b.tail or ""))
    attributes = {key: legal(value) for key, value in a.attrib.items()} == dict(b.attrib)
    return a.tag == b.tag and texts and attributes and len(a) == len(b) and all(map(same, a, b))


@settings(max_examples=200)
@given(st.lists(elements(), max_size=3))
def test_whatever_is_written_is_read_back(children: list[Element]) -> None:
    message = Element(names.MESSAGE, {"to": "x@y"})
    message.extend(children)
    text = serialise(message)
    assert same(message, Heard().feed(OPEN, text).stanzas[0]), text


def test_no_prefix_is_written_and_no_namespace_twice() -> None:
    message = Element(names.MESSAGE)
    inner = Element("{u}a")
    inner.append(Element("{u}b"))
    message.append(inner)
    assert serialise(message) == '<message><a xmlns="u"><b/></a></message>'
    assert b"ns0:" in tostring(message)  # what the standard library would write


@pytest.mark.parametrize(
    "text",
    [
        "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>c2VjcmV0</auth>",
        "<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>c2VjcmV0</response>",
        "<iq xmlns='jabber:client'><query xmlns='jabber:iq:register'><password>c2VjcmV0</password></query></iq>",
        "<iq xmlns='jabber:client'><preauth xmlns='urn:xmpp:pars:0' token='c2VjcmV0'/></iq>",
    ],
)
def test_the_trace_masks_secrets(text: str) -> None:
    assert "c2VjcmV0" not in masked(fromstring(text))
    assert "***" in masked(fromstring(text))


def test_the_trace_writes_a_strangers_attributes_and_a_stanza_that_was_cut() -> None:
    strange = fromstring("<message xmlns='jabber:client' xmlns:q='u:\"x' q:b='1' xml:lang='en'/>")
    assert same(strange, Heard().feed(OPEN, masked(strange)).stanzas[0])
    (cut,) = Heard(Limits(stanza=40)).feed(OPEN, f"<message><body>{'x' * 90}</body></message>").stanzas
    assert "longer" in masked(cut)


BODY = "<message xmlns='jabber:client' to='cern@a.test'>{}</message>"


@pytest.mark.parametrize(
    ("inner", "shown"),
    [
        ("<body>!vault login c2VjcmV0</body>", "<body>!vault (21 characters)</body>"),
        ("<body>c2VjcmV0</body>", "<body>(8 characters)</body>"),
        ("<body>c2VjcmV0 and more</body>", "<body>(17 characters)</body>"),
        ("<subject>login c2VjcmV0</subject>", "<subject>(14 characters)</subject>"),
        ("<html xmlns='http://jabber.org/protocol/xhtml-im'><body xmlns='http://www.w3.org/1999/xhtml'>login "
         "<b>c2VjcmV0</b> c2VjcmV0</body></html>", "(6 characters)"),
        ("<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client'>"
         "<body>!vault login c2VjcmV0</body></message></forwarded>", "<body>!vault (21 characters)</body>"),
        ("<x xmlns='jabber:x:data' type='submit'><field var='anything'><value>c2VjcmV0</value></field></x>", "***"),
        ("<x xmlns='jabber:x:data' type='result'><field var='password'><value>c2VjcmV0</value></field></x>", "***"),
        ("<stranger xmlns='urn:x'>c2VjcmV0</stranger>", ">(8 characters)<"),
    ],
)  # fmt: skip
def test_the_trace_shows_of_what_people_write_how_long_it_is(inner: str, shown: str) -> None:
    text = masked(fromstring(BODY.format(inner)))
    assert "c2VjcmV0" not in text
    assert shown in text


def test_the_trace_names_the_kind_of_a_payload_and_nothing_in_it() -> None:
    payload = r'{"v":1,"body":"{\"type\":\"request\",\"id\":\"x\",\"line\":\"vault login c2VjcmV0\"}"}'
    text = masked(fromstring(BODY.format(f"<amon xmlns='urn:amon:1'>{payload}</amon>")))
    assert "c2VjcmV0" not in text
    assert "request (" in text
