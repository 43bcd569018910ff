"""All that sites said, in files: asked for with the job, or after it."""

from pathlib import Path

from tests.admin_console.ground import Ground
from tests.admin_console.programs import in_pipe

WHOLE = "\n".join(f"book {number}" for number in range(20_000))


async def amon(ground: Ground, *words: str) -> tuple[int, str]:
    config = str(ground.console().config)
    async with in_pipe("--config", config, *words, folder=ground.folder) as program:
        return await program.ended(), program.text


def only_file(folder: Path) -> Path:
    (found,) = folder.iterdir()
    return found


async def test_a_long_output_is_shown_cut_and_saved_whole(ground: Ground, tmp_path: Path) -> None:
    await ground.site("cern")
    code, text = await amon(ground, "run", "--save", str(tmp_path / "out"), "cern", "odd", "shelf", "20000")
    assert code == 0, text
    assert "book 19999" not in text
    saved = only_file(tmp_path / "out")
    assert saved.name.startswith("cern")
    assert saved.read_text().rstrip() == WHOLE
    assert saved.stat().st_mode & 0o777 == 0o600


async def test_what_was_not_saved_at_once_is_saved_from_the_job(ground: Ground, tmp_path: Path) -> None:
    await ground.site("cern")
    code, text = await amon(ground, "run", "cern", "odd", "shelf", "20000")
    assert code == 0, text
    assert "--save DIR" in text
    _, listed = await amon(ground, "jobs")
    ident = listed.splitlines()[1].split()[0]
    code, text = await amon(ground, "job", ident, "--save", str(tmp_path / "late"))
    assert code == 0, text
    assert only_file(tmp_path / "late").read_text().rstrip() == WHOLE


async def test_a_directory_that_cannot_be_made_is_said_and_the_answer_is_shown_all_the_same(
    ground: Ground, tmp_path: Path
) -> None:
    await ground.site("cern")
    (tmp_path / "file").write_text("in the way")
    code, text = await amon(ground, "run", "--save", str(tmp_path / "file" / "out"), "cern", "odd", "shelf")
    assert code == 1
    assert "book 9" in text
    assert "cannot be made" in text
