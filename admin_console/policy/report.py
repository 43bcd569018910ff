"""Which policy each site obeys, as a table and as JSON. Pure."""

from collections.abc import Sequence
from typing import Any

from admin_console.policy.pushing import Obeyed
from admin_console.policy.signing import Signed
from admin_console.tables import Grid, Listing, one_line
from amon.access.window import shown


def grid_of(last: Signed | None, sites: Sequence[Obeyed]) -> Grid:
    rows = tuple((one_line(one.site), str(one.serial or ""), state_of(last, one)) for one in sites)
    return Grid(("site", "policy", "state"), rows, (False, True, False))


def line_of(last: Signed | None) -> str:
    if last is None:
        return "nothing was signed here yet; next: amon policy push"
    return f"signed last: policy {last.bundle.serial}, until {shown(last.bundle.expires)}, by {last.bundle.key}"


def state_of(last: Signed | None, one: Obeyed) -> str:
    """What a person does about it follows from the word."""
    if not one.known:
        return "not known: not here, or does not tell"
    if one.serial is None:
        return "its own; no policy of the fleet"
    if last is None or one.serial > last.bundle.serial:
        return "newer than what was signed here"
    return "in force" if one.serial == last.bundle.serial else "older; next: amon policy push --again"


def listing_of(last: Signed | None, sites: Sequence[Obeyed]) -> Listing:
    """bad: sites that do not obey what was signed last."""
    more = document(last, sites)
    bad = [one.site for one in sites if state_of(last, one) != "in force"]
    return Listing("sites", more.pop("sites"), grid_of(last, sites), (line_of(last),), more, bad)


def difference_listing(difference: str) -> Listing:
    """Lines of `diff -u`, or that there are none."""
    lines = difference.splitlines()
    shown = lines or ["nothing is different from what was signed last"]
    records = [{"line": line} for line in lines]
    return Listing("difference", records, Grid(("line",), ()), tuple(shown), {"changed": bool(lines)}, lines[:1])


def document(last: Signed | None, sites: Sequence[Obeyed]) -> dict[str, Any]:
    """Stable: keys are added, never renamed."""
    bundle = last.bundle if last else None
    signed = None
    if bundle is not None:
        signed = {"serial": bundle.serial, "issued": bundle.issued, "expires": bundle.expires, "key": bundle.key}
    rows = [{"site": one.site, "serial": one.serial, "state": state_of(last, one)} for one in sites]
    return {"signed": signed, "sites": rows}
