"""A site without a server, and somebody who talks to it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.runtime.scene import Said, Site, site
from tests.runtime.talk import Talk


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Site]:
    async with site(tmp_path) as made:
        yield made


@pytest.fixture
def talk(lab: Site) -> Talk:
    lab.lab.body = lambda call: Said("seen")
    return Talk(lab)
