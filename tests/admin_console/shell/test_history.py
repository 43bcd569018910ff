"""What was typed is kept for its owner alone, and only when somebody said that it may be."""

from pathlib import Path

from admin_console.shell.history import MOST_LINES, KeptHistory


def lines(path: Path) -> list[str]:
    return list(KeptHistory(path).load_history_strings())


def test_only_what_may_be_kept_is_written_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "state" / "shell_history"
    history = KeptHistory(path)
    history.append_string("vault put mail hunter2")
    assert not path.exists()
    history.keep("uptime")
    history.keep("uptime")
    history.keep("sites")
    history.keep("a\nb")
    assert lines(path) == ["sites", "uptime"]
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert history.get_strings() == ["vault put mail hunter2"]


def test_what_others_could_read_is_made_private(tmp_path: Path) -> None:
    path = tmp_path / "shell_history"
    path.write_text("old\n")
    path.chmod(0o644)
    KeptHistory(path).keep("new")
    assert (path.stat().st_mode & 0o777, lines(path)) == (0o600, ["new", "old"])


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.touch()
    (tmp_path / "shell_history").symlink_to(target)
    KeptHistory(tmp_path / "shell_history").keep("uptime")
    assert target.read_text() == ""


def test_a_file_that_cannot_be_had_is_no_trouble(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    history = KeptHistory(tmp_path / "file" / "shell_history")
    history.keep("uptime")
    assert list(history.load_history_strings()) == []


def test_a_long_file_is_cut_and_broken_lines_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "shell_history"
    path.write_bytes(b"\xff\x1b[2J\n" + b"".join(b"line %d\n" % number for number in range(200_000)))
    kept = lines(path)
    assert (len(kept), kept[0]) == (MOST_LINES, "line 199999")
    assert path.stat().st_size < 100_000
    path.write_bytes(b"fine\n\x1b[2J\n\xff\n")
    assert "fine" in lines(path)
    assert not any("\x1b" in line for line in lines(path))
