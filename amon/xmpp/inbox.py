"""What comes out of the stream, sorted: to the listener, to the rooms' state, to whoever waits for an answer."""

from collections.abc import Callable
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element

from amon.xmpp import names, outgoing
from amon.xmpp.address import split
from amon.xmpp.events import Bounced, Listener
from amon.xmpp.incoming import read_message, read_presence
from amon.xmpp.keeper import Keeper
from amon.xmpp.requests import Requests, answer, asker, error
from amon.xmpp.room import Room, is_invitation

if TYPE_CHECKING:
    from amon.xmpp.commands import Asked


class Inbox:
    """Called in the order of the stream; whatever it raises costs that one stanza (see `Stream`)."""

    def __init__(self, account: str, listener: Listener, post: Callable[[Element], bool]) -> None:
        self._account, self._listener, self._post = account, listener, post
        self.requests = Requests(account)
        self.rooms: dict[str, Room] = {}
        self.keepers: dict[str, Keeper] = {}
        self.facts: dict[str, tuple[str, ...]] = {}
        self.commanded: Callable[[Asked], None] | None = None
        self.received = self.dropped = 0

    def add(self, keeper: Keeper) -> None:
        self.rooms[keeper.room.address], self.keepers[keeper.room.address] = keeper.room, keeper

    def remove(self, room: str) -> Keeper | None:
        self.rooms.pop(room, None)
        return self.keepers.pop(room, None)

    def message(self, element: Element) -> None:
        if is_invitation(element) and element.get("type") != "error":
            return self._invited(element)
        event = read_message(element, self.rooms, self._account)
        if isinstance(event, Bounced):
            self._listener.bounced(event)
        elif event is not None:
            self.received += 1
            self._listener.received(event)
        elif not self._of_room_itself(element):
            self.dropped += 1
            self._tell_unread(element)
        return None

    def _tell_unread(self, element: Element) -> None:
        """Whoever may see us and said too much hears of it; a room, a stranger and an answer do not."""
        sender, resource = split(element.get("from") or self._account)
        said = element.get(names.UNREAD) is not None and element.get("type", "normal") in ("chat", "normal")
        if said and sender not in self.rooms and sender != self._account and self._listener.may_see(sender):
            to = f"{sender}/{resource}" if resource else sender
            self._post(outgoing.unread(to, element.get(names.UNREAD, ""), element.get("id", "")))

    def _of_room_itself(self, element: Element) -> bool:
        """A message of the room as such, for example that its configuration changed."""
        sender, nick = split(element.get("from") or self._account)
        keeper = self.keepers.get(sender)
        if keeper is None or nick or element.get("type") != "groupchat":
            return False
        if keeper.room.settings_changed(element):
            keeper.doubt()
        return True

    def _invited(self, element: Element) -> None:
        """A call into a room that we want to be in. Any other, and one by an occupant's own hand, is nothing.

        What stands beside it is for people, and nobody's order.
        """
        sender, nick = split(element.get("from") or self._account)
        keeper = self.keepers.get(sender)
        if keeper is None or nick or element.get("type", "normal") != "normal":
            self.dropped += 1
        else:
            keeper.call()

    def presence(self, element: Element) -> None:
        sender = split(element.get("from") or self._account)[0]
        keeper = self.keepers.get(sender)
        if keeper is not None:
            if keeper.room.presence(element):
                keeper.stir()
        elif element.get("type") == "subscribe":
            # RFC 6121, 3.1.4. slixmpp would say yes to everybody and ask back.
            allowed = self._listener.may_see(sender)
            self._post(outgoing.directed("subscribed" if allowed else "unsubscribed", sender))
        elif sender != self._account:
            seen = read_presence(element)
            if seen is not None:
                self._listener.seen(seen)

    def iq(self, element: Element) -> None:
        if element.get("type") in ("result", "error"):
            self.requests.answered(element)
        elif element.get("type") in ("get", "set"):
            who = self._real(element)
            mine = self.commanded is not None and who is not None and _may_be_command(element)
            if mine and who is not None and self._command(element, who):
                return
            trusted = who is not None and (who == self._account or self._listener.may_see(who))
            in_room = split(element.get("from") or self._account)[0] in self.rooms
            forms = self.commanded is not None and not in_room
            self._post(answer(element, self._account, self.facts, trusted, forms))

    def _command(self, element: Element, who: str) -> bool:
        """Hands it on to who answers commands, if it is about them. Through a room it is refused, in words."""
        from amon.xmpp import commands  # few agents are ever asked so

        assert self.commanded is not None
        if not commands.is_about_commands(element):
            return False
        sender, resource = split(element.get("from") or self._account)
        if sender not in self.rooms:
            self.commanded(commands.read(element, who, f"{sender}/{resource}" if resource else sender))
        elif self._listener.may_see(who):
            text = f"not through the room: use my address {self._account}"
            self._post(error(element, "not-acceptable", text))
        else:
            self._post(error(element))
        return True

    def _real(self, element: Element) -> str | None:
        """The real address behind a request, which may come through a room."""
        if not element.get("from"):
            return self._account
        sender = asker(element)
        room = self.rooms.get(sender or "")
        if room is None:
            return sender
        occupant = room.occupants.get(split(element.get("from", ""))[1])
        return occupant.jid if occupant else None


def _may_be_command(iq: Element) -> bool:
    """A look that costs nothing, before what reads commands is imported."""
    return len(iq) > 0 and (iq[0].tag.startswith(f"{{{names.COMMANDS}}}") or iq[0].get("node") is not None)
