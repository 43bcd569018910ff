"""A fleet under attack, on Prosody and with the mark `servers` on ejabberd."""

from tests.e2e.conftest import world

__all__ = ["world"]
