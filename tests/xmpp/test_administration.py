"""Questions to a server that loses some."""

from xml.etree.ElementTree import Element, fromstring

import pytest

from amon.xmpp import names
from amon.xmpp.administration import Administration
from amon.xmpp.events import RoomState
from amon.xmpp.faults import StanzaError
from amon.xmpp.roster import Member

ROOM = "ops@rooms.amon.test"
ANSWER = f'<query xmlns="{names.MUC_ADMIN}"><item jid="cern@agents.amon.test" affiliation="member"/></query>'


class Asking(Administration):
    """Whose questions come back with these conditions, one after the other, and then with an answer."""

    def __init__(self, *conditions: str) -> None:
        self.conditions, self.asked = list(conditions), 0

    def post(self, element: Element) -> bool:
        raise AssertionError

    async def enter(self, room: str, *, create: bool = False) -> RoomState:
        raise AssertionError

    async def ask(self, to: str | None, kind: str, content: Element, within: float | None = None) -> Element:
        assert (to, kind) == (ROOM, "get")
        self.asked += 1
        if self.conditions:
            raise StanzaError(self.conditions.pop(0), "no")
        return fromstring(f'<iq xmlns="jabber:client" type="result">{ANSWER}</iq>')


async def test_a_question_that_a_room_lost_is_asked_once_more() -> None:
    asking = Asking("timeout")
    assert await asking.members(ROOM) == [Member("cern@agents.amon.test", "member")]
    assert asking.asked == 2


@pytest.mark.parametrize(("conditions", "asked"), [(("timeout", "timeout"), 2), (("forbidden",), 1)])
async def test_a_room_that_says_no_or_never_anything_is_not_asked_for_ever(
    conditions: tuple[str, ...], asked: int
) -> None:
    asking = Asking(*conditions)
    with pytest.raises(StanzaError):
        await asking.members(ROOM)
    assert asking.asked == asked
