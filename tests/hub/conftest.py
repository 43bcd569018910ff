"""A private server with its room, for each test that asks for it."""

from tests.admin_console.conftest import ground as ground
