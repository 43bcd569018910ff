"""How a site is: a level and a text per instance, the worst of them, and what of it goes into presence.

An instance says `Health` whenever asked. The `Board` keeps the last of each, counts the leaves, and makes one `Picture`
of the site. The `Pace` decides when a changed picture is worth a stanza: bad news at once, the rest at a measured rate,
so that a flapping service costs the admins' clients nothing. `Maintenance` covers what is being worked on.
"""

from amon.health.board import Board, Picture, Trouble
from amon.health.level import Health, Level, worst
from amon.health.maintenance import SITE, Maintenance, Maintenances
from amon.health.pace import Pace

__all__ = ["SITE", "Board", "Health", "Level", "Maintenance", "Maintenances", "Pace", "Picture", "Trouble", "worst"]
