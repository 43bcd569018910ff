"""How the host under this agent is: load, memory, swap, disks, network, temperature, processes; with limits that make
health.

Parts of its health are `load`, `memory`, `swap`, `temperature` and one for each mount: `disk-root` for `/`,
`disk-var-log` for `/var/log`. A part that is not well is in the state `high`, `hot`, `full` or `no-answer`; presence
carries both, so that a target can ask for them (`service:host/disk-*=full`).
"""

from .module import HostModule
from .settings import Settings
from .world import Machine, World

__all__ = ["HostModule", "Machine", "Settings", "World"]
