"""pytest fixtures for module authors: `clock`, a FakeClock of one's own."""

import pytest

from amon.testing.clock import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands still until the test turns it."""
    return FakeClock()
