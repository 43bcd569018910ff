"""For module authors too: one instance on a stage without a server, but through the real dispatch; a clock to turn.

async with stage(UptimeModule, Settings(settle=300), clock=FakeClock(1_000)) as site:
    assert await site.say("uptime") == "up 0 d 00 h 01 min"
"""

from amon.testing.clock import FakeClock
from amon.testing.stage import Stage, stage

__all__ = ["FakeClock", "Stage", "stage"]
