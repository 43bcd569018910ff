"""Files that the agent prints for its host: the unit and the polkit rule. Both are data of this package."""

import json
import re
from collections.abc import Sequence
from importlib.resources import files

from amon.errors import Invalid

UNIT = "amon-agent.service"
RULES = "50-amon-agent.rules"
# systemd.unit(5): what a unit may be called. No glob: each unit is named.
_UNIT_NAME = re.compile(r"[A-Za-z0-9:_.@\\-]{1,240}\.(service|socket|target|timer|path|mount|slice|scope)")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")


def unit() -> str:
    return (files("site_agent") / UNIT).read_text(encoding="utf-8")


def polkit_rules(units: Sequence[str], user: str = "amon") -> str:
    """The rule for these units. Anything that is not plainly a unit's name is refused: it would be script."""
    for name in units:
        if not _UNIT_NAME.fullmatch(name):
            raise Invalid(f"{name!r} is not the full name of a unit, such as apache2.service")
    if not _USER.fullmatch(user):
        raise Invalid(f"{user!r} is not the name of a user")
    text = (files("site_agent") / RULES).read_text(encoding="utf-8")
    listed = f"var units = {json.dumps(list(units))};"
    text = text.replace('var units = ["apache2.service"];', listed)
    return text.replace('"amon"', json.dumps(user)).replace("(user amon)", f"(user {user})")
