"""A disk that is really full behind the book of jobs, a small tmpfs: said once, and the job is done all the same."""

import asyncio
import os
from pathlib import Path

import pytest

from tests.admin_console.ground import Ground
from tests.admin_console.programs import AMON

_MOUNT = 'mount -t tmpfs -o size="$0" none "$1" && shift && dd if=/dev/zero of="$XDG_STATE_HOME/filler" 2>/dev/null; '


@pytest.mark.lab
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts, so it needs root")
@pytest.mark.parametrize("left", [0, 48])
async def test_a_full_disk_behind_the_book_is_said_once_and_the_job_is_done(
    ground: Ground, tmp_path: Path, left: int
) -> None:
    """left: KiB; with none the book cannot even be made."""
    await ground.site("cern")
    await ground.site("desy")
    code, out, notes = await _on_a_full_disk(ground, tmp_path, left, "run", "all", f"odd echo {'x' * 1900}")
    assert (code, out.split("\n")[-2]) == (0, "2 sites: 2 done"), notes
    assert notes.count("jobs go on all the same, and their sites keep what they did") == 1
    assert "the book of jobs" in notes


@pytest.mark.lab
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts, so it needs root")
@pytest.mark.parametrize("left", [0, 32])
async def test_a_job_that_nobody_could_ask_for_again_is_not_left_behind(
    ground: Ground, tmp_path: Path, left: int
) -> None:
    await ground.site("cern")
    line = f"odd echo {'x' * 8_000}"  # where the book can be made it has no room for that
    code, out, notes = await _on_a_full_disk(ground, tmp_path, left, "run", "--detach", "cern", line)
    assert (code, out) == (1, ""), notes
    assert "nothing was sent; next: mend that, or leave out --detach" in notes


async def _on_a_full_disk(ground: Ground, tmp_path: Path, left: int, *line: str) -> tuple[int | None, str, str]:
    state = tmp_path / "state"
    state.mkdir()
    room = f'truncate -s -{left}K "$XDG_STATE_HOME/filler"; ' if left else ""
    script = f'{_MOUNT}{room}exec "$@"'
    words = (*AMON, "--config", str(ground.console().config), *line)
    process = await asyncio.create_subprocess_exec(
        "unshare", "-m", "sh", "-c", script, "300k", str(state), *words,
        env={**os.environ, "XDG_STATE_HOME": str(state), "XDG_CACHE_HOME": str(tmp_path)},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(40):
        out, notes = await process.communicate()
    return process.returncode, out.decode(), notes.decode()
