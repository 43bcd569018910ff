"""An XMPP server of one's own: a private Prosody for the demo, for tests and for a first fleet."""

from admin_console.server.private import Ports, PrivateServer

__all__ = ["Ports", "PrivateServer"]
