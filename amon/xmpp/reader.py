"""Bytes of a stream to elements, with limits in front: sans-IO, on expat.

RFC 6120, 11.1: no DTD, no entity, no comment, no processing instruction. slixmpp's own reader accepts a DTD, any depth
and any size; a stanza that never ends would fill the memory. A stanza beyond the limits comes without its content: to
end the stream for it would let one long paste throw a fleet out of a room, again and again if the session is resumed.
"""

import re
from collections.abc import Callable
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from amon.xmpp import names
from amon.xmpp.login import Limits

_SLICE = 65_536  # bytes between two looks at the size
_HOPELESS = 8  # times the limit: what is that long ends the stream
# A whole tag; possessive, so that a tag of any length is looked through once.
_TAG = re.compile(rb"""<(?:[^"'>]++|"[^"]*+"|'[^']*+')*+>""")
# Names of elements and attributes in one stream. expat keeps each as long as its parser lives: who invents names would
# fill the memory in small messages. A new stream starts with an empty parser.
_NAMES = 10_000


class Broken(Exception):
    """The peer does not speak XMPP; the stream must end. Says why in words, without what was sent."""


class _Closed(Exception):
    """Left the parser because the stream starts anew (after TLS, after login)."""


class Reader:
    """Feeds stanzas, whole, in order. `opened` gets the attributes of the stream header."""

    def __init__(
        self,
        opened: Callable[[dict[str, str]], None],
        stanza: Callable[[Element], None],
        ended: Callable[[], None],
        cut: Callable[[str], None],
        limits: Limits,
    ) -> None:
        self._opened, self._stanza, self._ended, self._cut, self._limits = opened, stanza, ended, cut, limits
        self._names: dict[str, str] = {}
        self._depth = self._elements = 0
        self._fed = 0
        self._held = b""  # the beginning of a tag whose end has not come
        self._floor = 0  # byte where the current stanza began
        self._closed = False
        self._skipping = ""  # why the rest of this stanza is not read
        self._root: tuple[str, dict[str, str]] = ("", {})
        self._builder = TreeBuilder()
        self._parser = self._make_parser()

    def _make_parser(self) -> expat.XMLParserType:
        # The encoding is given: a declared UTF-16 would hide a DTD from nobody, but nobody needs it either.
        parser = expat.ParserCreate("utf-8", "}", None)
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._between
        parser.StartDoctypeDeclHandler = self._forbidden
        parser.EntityDeclHandler = self._forbidden
        parser.CommentHandler = self._forbidden
        parser.ProcessingInstructionHandler = self._forbidden
        return parser

    def feed(self, data: bytes) -> None:
        try:
            for start in range(0, len(data), _SLICE):
                if self._closed:
                    return
                piece = data[start : start + _SLICE]
                self._fed += len(piece)
                self._parser.Parse(self._whole_tags(piece), False)
                self._check_size()
        except _Closed:
            return
        except expat.ExpatError as error:
            raise Broken(f"what the server sent is not XML ({expat.ErrorString(error.code)})") from None

    def close(self) -> None:
        """Nothing that was fed is read any more."""
        self._closed = True

    def _whole_tags(self, piece: bytes) -> bytes:
        """What came, up to a tag that is not complete yet; that waits here for its end.

        expat 2.6, and Debian's 2.5 with the fix of CVE-2023-52425, look at a half tag again only when twice as much of
        it is there: the last stanza would wait for the next one. Python has a switch for that from 3.11.9 on only.
        """
        data = self._held + piece
        last = data.rfind(b"<")
        cut = len(data) if last < 0 or _TAG.match(data, last) else last
        self._held = data[cut:]
        return data[:cut]

    def _check_size(self) -> None:
        size = self._fed - self._floor
        if self._closed or size <= self._limits.stanza:
            return
        if size > _HOPELESS * self._limits.stanza:
            raise Broken(f"a stanza of more than {_HOPELESS * self._limits.stanza // 1024} KiB came; it may never end")
        self._skip(f"is longer than {self._limits.stanza // 1024} KiB")

    def _skip(self, why: str) -> None:
        if self._skipping:
            return
        self._skipping = why
        self._builder = TreeBuilder()
        self._parser.CharacterDataHandler = None
        self._cut(why)

    def _name(self, name: str) -> str:
        known = self._names.get(name)
        if known is None:
            if len(self._names) >= _NAMES:
                raise Broken(f"more than {_NAMES} different names of elements came; a new stream forgets them")
            known = self._names[name] = "{" + name if "}" in name else name
        return known

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        named = {self._name(key): value for key, value in attributes.items()}
        if self._depth == 1:
            self._opened(named)
            return
        if self._depth == 2:
            self._root = (self._name(name), named)
            self._elements = 0
            self._builder = TreeBuilder()
            self._parser.CharacterDataHandler = None if self._skipping else self._builder.data
        self._elements += 1
        if self._elements > self._limits.elements:
            self._skip(f"has more than {self._limits.elements} elements")
        if self._depth > self._limits.depth:
            self._skip(f"is nested deeper than {self._limits.depth}")
        if not self._skipping:
            self._builder.start(self._name(name), named)

    def _end(self, name: str) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._ended()
            return
        if not self._skipping:
            self._builder.end(self._name(name))
        if self._depth > 1:
            return
        self._parser.CharacterDataHandler = self._between
        self._floor = self._parser.CurrentByteIndex
        tag, attributes = self._root
        unread = {names.UNREAD: self._skipping}
        stanza = Element(tag, {**attributes, **unread}) if self._skipping else self._builder.close()
        self._skipping = ""
        self._stanza(stanza)
        if self._closed:
            raise _Closed

    def _between(self, text: str) -> None:
        self._floor = self._parser.CurrentByteIndex  # a keepalive: white space between stanzas
        if text.strip():
            raise Broken("the server sent text between stanzas")

    def _forbidden(self, *_what: object) -> None:
        raise Broken("the server sent a DTD, a comment or a processing instruction, which XMPP forbids")
