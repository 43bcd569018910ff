"""docs/console.md says what there is: its words, options and scripts, and the lines of its script are run."""

import asyncio
import re
from pathlib import Path

from click.testing import CliRunner

from admin_console.cli.main import cli
from admin_console.program import FORMATS
from admin_console.shell.said import overview
from tests.admin_console.ground import Ground
from tests.admin_console.programs import AMON
from tests.admin_console.shell.test_script import environment

PAGE = (Path(__file__).parents[3] / "docs" / "console.md").read_text()


def test_every_word_and_every_format_stands_there() -> None:
    for usage, _ in overview():
        word = usage.split()[0]
        assert re.search(rf"`[^`]*\b{word}\b", PAGE), usage
    for form in FORMATS:
        assert f"| `{form}` |" in PAGE


def test_what_it_says_takes_an_output_does() -> None:
    said = re.search(r"takes `-o FORMAT`: (.*?)\. `--json`", PAGE, re.DOTALL)
    assert said is not None
    for words in re.findall(r"`([^`]+)`", said[1]):
        helped = CliRunner().invoke(cli, [*words.split(), "--help"], prog_name="amon").stdout
        assert "--output" in helped, words


async def test_its_script_runs(ground: Ground) -> None:
    await ground.site("cern", tags='tags = { tier = "1" }')
    found = re.search(r"\$ printf '(.*)' \| amon shell (.*)", PAGE)
    assert found is not None
    lines = (
        found[1]
        .replace("\\n", "\n")
        .replace("service list", "odd disks")
        .replace("@desy service restart store", "@cern odd echo x")
    )
    process = await asyncio.create_subprocess_exec(
        *AMON, "--config", str(ground.console().config), "shell", *found[2].split(),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=environment(ground.folder),
    )  # fmt: skip
    async with asyncio.timeout(30):
        out, _ = await process.communicate(lines.encode())
    assert process.returncode == 0
    assert out.decode().count('"summary"') == 4  # two lines, each with a summary that holds a summary
