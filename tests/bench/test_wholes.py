"""The measurement of long outputs, small: every site answers, says what is missing and where, and is saved whole."""

import asyncio
import sys

import pytest

from tests.bench.ground import ROOT

pytestmark = pytest.mark.bench


@pytest.mark.timeout(300)
async def test_long_outputs_of_several_sites_are_saved_while_another_console_is_answered() -> None:
    argv = sys.executable, "-m", "tests.bench.wholes", "6", "5"
    process = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE, cwd=ROOT)
    said, _ = await process.communicate()
    lines = said.decode().splitlines()
    assert process.returncode == 0
    assert any(line.endswith("6 rows say what is missing and where") for line in lines)
    assert lines[-1] == "6 of 6 files are byte for byte what the site had"
    assert [line.partition(":")[0] for line in lines[-4:-1]] == ["quiet", "answering", "saving"]
