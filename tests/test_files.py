"""A name from outside is one entry of its root, whatever it is; and files are judged by what was opened."""

import errno
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amon.errors import Failed
from amon.files import below, part, write_whole

ROOT = Path("/srv/amon")


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("uptime", "uptime"), ("ops@rooms.example.org", "ops@rooms.example.org"), ("", "%"), (".", "%2E"),
        ("..", "%2E."), (".profile", "%2Eprofile"), ("../../etc/passwd", "%2E.%2F..%2Fetc%2Fpasswd"),
        ("/etc/passwd", "%2Fetc%2Fpasswd"), ("a\x00b", "a%00b"), ("a\nb", "a%0Ab"), ("é", "%C3%A9"), ("%2E", "%252E"),
        ("\ud800", "%ED%A0%80"), ("a b;rm -rf", "a%20b%3Brm%20-rf"),
    ],
)  # fmt: skip
def test_a_name_becomes_one_part_of_a_path(name: str, made: str) -> None:
    assert part(name) == made
    assert below(ROOT, name) == ROOT / made


@given(st.text(max_size=300) | st.lists(st.sampled_from(["..", "/", ".", "\\", "%", "\x00", "a"])).map("".join))
def test_no_name_leaves_its_root(name: str) -> None:
    path = below(ROOT, name)
    assert path.parent == ROOT
    assert path.resolve() == path
    assert len(path.name.encode()) <= 255
    assert not path.name.startswith(".")


@given(st.text(max_size=400), st.text(max_size=400))
def test_two_names_are_two_entries(one: str, other: str) -> None:
    assert (below(ROOT, one) == below(ROOT, other)) == (one == other)


def test_a_long_name_ends_in_its_digest() -> None:
    assert part("a" * 5000) != part("a" * 5001)
    assert len(part("a" * 5000)) == 200


def test_a_link_out_of_the_root_is_not_followed(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (root / "inside").mkdir()
    (root / "alias").symlink_to("inside")
    (root / "trap").symlink_to(outside)
    assert below(root, "alias") == root / "alias"
    with pytest.raises(Failed, match="a link that leads out of"):
        below(root, "trap")


def test_what_is_written_is_there_whole_with_the_mode_that_is_wanted(tmp_path: Path) -> None:
    file = tmp_path / "kept"
    write_whole(file, "first")
    write_whole(file, b"second", 0o640)
    assert (file.read_bytes(), stat.S_IMODE(file.stat().st_mode)) == (b"second", 0o640)
    assert list(tmp_path.iterdir()) == [file]


def test_what_cannot_be_written_leaves_what_was_there_and_nothing_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "kept"
    write_whole(file, "first")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(Failed, match="kept cannot be written: no space left"):
        write_whole(file, "second", dress=full)
    assert (file.read_text(), list(tmp_path.iterdir())) == ("first", [file])
