"""What can be loaded: `Module` and its `Env`, found by entry point, run as named instances under supervision.

Everything that an instance registers (commands, tasks, health) belongs to it and leaves with it. A module knows its
settings, a clock and its own directory; it never sees a stanza, a policy or another module.
"""

from amon.module.base import Env, Module, settings_type
from amon.module.instance import Instance
from amon.module.registry import Found, Registry

__all__ = ["Env", "Found", "Instance", "Module", "Registry", "settings_type"]
