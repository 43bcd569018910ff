"""A visit to a room that refuses for a rare reason. What usual rooms say is asked of real servers by `check`."""

import asyncio
from typing import Any
from xml.etree.ElementTree import Element

from amon.xmpp import names
from amon.xmpp.login import Login
from amon.xmpp.markup import child
from amon.xmpp.visit import VISIT_TIMES, Visit


class Refusing:
    """A stream on which every request is answered by an error."""

    def __init__(self, visit: Visit, condition: str) -> None:
        self._visit, self._condition = visit, condition

    def post(self, element: Element) -> None:
        answer = Element(names.IQ, {"type": "error", "id": element.get("id", ""), "from": element.get("to", "")})
        child(child(answer, names.ERROR), f"{{{names.STANZAS}}}{self._condition}")
        asyncio.get_running_loop().call_soon(self._visit.iq, answer)


async def test_an_address_with_braces_is_said_as_it_is() -> None:
    visit = Visit(Login("cern@agents.example.org", "x"), VISIT_TIMES)
    stream: Any = Refusing(visit, "internal-server-error")
    visit.stream = stream
    said = await visit.room_fault("ops{x}@rooms.example.org")
    assert said == "does not let cern@agents.example.org in: ops{x}@rooms.example.org: the server failed"
