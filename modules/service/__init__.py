"""Services of a site: seen, checked, started, stopped, restarted; through systemd, the agent or their own programs."""

from .module import ServiceModule
from .settings import Check, Restart, Service, Settings

__all__ = ["Check", "Restart", "Service", "ServiceModule", "Settings"]
