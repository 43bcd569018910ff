"""Bytes of a stream to elements, with limits in front: sans-IO, on expat.

RFC 6120, 11.1: no DTD, no entity, no comment, no processing instruction. slixmpp's own reader accepts a DTD, any depth
and any size; a stanza that never ends would fill the memory.
"""

from collections.abc import Callable
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from amon.xmpp.login import Limits

_SLICE = 65_536  # bytes between two looks at the size
_NAMES = 2_000  # element and attribute names kept; more is an attack


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
        limits: Limits,
    ) -> None:
        self._opened, self._stanza, self._ended, self._limits = opened, stanza, ended, limits
        self._names: dict[str, str] = {}
        self._depth = 0
        self._fed = 0
        self._floor = 0  # byte where the current stanza began
        self._closed = False
        self._builder = TreeBuilder()
        self._parser = self._make_parser()

    def _make_parser(self) -> expat.XMLParserType:
        # The encoding is given: a declared UTF-16 would hide a DTD from nobody, but nobody needs it either.
        parser = expat.ParserCreate("utf-8", "}")
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
                self._parser.Parse(piece, False)
                self._check_size()
        except _Closed:
            return
        except expat.ExpatError as error:
            raise Broken(f"what the server sent is not XML ({expat.ErrorString(error.code)})") from None

    def close(self) -> None:
        """Nothing that was fed is read any more."""
        self._closed = True

    def _check_size(self) -> None:
        if self._fed - self._floor > self._limits.stanza and not self._closed:
            raise Broken(f"a stanza of more than {self._limits.stanza // 1024} KiB came; the limit protects our memory")

    def _name(self, name: str) -> str:
        known = self._names.get(name)
        if known is None:
            if len(self._names) >= _NAMES:
                self._names.clear()
            known = self._names[name] = "{" + name if "}" in name else name
        return known

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > self._limits.depth:
            raise Broken(f"a stanza nested deeper than {self._limits.depth} came")
        named = attributes
        if any("}" in key for key in attributes):
            named = {self._name(key): value for key, value in attributes.items()}
        if self._depth == 1:
            self._opened(named)
            return
        if self._depth == 2:
            self._builder = TreeBuilder()
            self._parser.CharacterDataHandler = self._builder.data
        self._builder.start(self._name(name), named)

    def _end(self, name: str) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._ended()
            return
        self._builder.end(self._name(name))
        if self._depth > 1:
            return
        self._parser.CharacterDataHandler = self._between
        self._floor = self._parser.CurrentByteIndex
        self._stanza(self._builder.close())
        if self._closed:
            raise _Closed

    def _between(self, text: str) -> None:
        self._floor = self._parser.CurrentByteIndex  # a keepalive: white space between stanzas
        if text.strip():
            raise Broken("the server sent text between stanzas")

    def _forbidden(self, *_what: object) -> None:
        raise Broken("the server sent a DTD, a comment or a processing instruction, which XMPP forbids")
