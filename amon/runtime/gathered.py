"""Lines typed for many sites: what became of them goes to the hub, which says one summary, as long as it is there."""

from collections.abc import Iterable

from amon.xmpp.room import Occupant

HUB_RESOURCE = "hub"  # how the resource of a hub's session begins; a console of the same account is none


def hub_in(occupants: Iterable[Occupant], jid: str) -> str | None:
    """The full address of the hub `jid` among those in a room; None while it is not there."""
    for one in occupants:
        if one.jid == jid and one.full is not None and one.full.partition("/")[2].startswith(HUB_RESOURCE):
            return one.full
    return None
