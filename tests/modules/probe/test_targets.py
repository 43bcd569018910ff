"""Lists of targets: what a line may be, junk by its place, duplicates, a million lines."""

import os
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amon.errors import Failed
from modules.probe import targets as limits
from modules.probe.targets import JUNK_KEPT, LINE_MOST, Draft, Targets, packed, read_file, stamp_of, unpacked


def made(*lines: str | bytes, resolved: dict[str, str] | None = None, urls: bool = False) -> Targets:
    draft = Draft()
    draft.read("", "list", lines, urls=urls)
    return draft.finish(resolved or {}, 1)


def test_a_line_is_an_address_or_a_name_with_a_label_and_a_remark() -> None:
    found = made(
        "192.0.2.1", "  2001:db8::1  uplink ", "# all of it a remark", "", "192.0.2.2 gw # its remark",
        b"www.Example.org\n", resolved={"www.example.org": "192.0.2.80"},
    )  # fmt: skip
    assert [found.text(row) for row in range(len(found))] == [
        "192.0.2.1",
        "2001:db8::1",
        "192.0.2.2",
        "www.example.org",
    ]
    assert [found.called(row) for row in range(len(found))] == ["192.0.2.1", "uplink", "gw", "www.example.org"]
    assert found.address(3) == "192.0.2.80"
    assert (found.junk_count, found.duplicates) == (0, 0)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("10.0.0.300", "'10.0.0.300' is neither an address nor a name"),
        ("10.0.0", "neither an address nor a name"),
        ("a..b", "neither an address nor a name"),
        ("-dash", "neither an address nor a name"),
        ("192.0.2.1 two words", "has 3 words"),
        ("192.0.2.1 b\\d", "'b\\\\d' is no label"),
        ("0.0.0.0", "is the address of nobody"),
        ("::", "is the address of nobody"),
        ("http://www.example.org/", "neither an address nor a name"),
        ("x" * (LINE_MOST + 1), "is longer than"),
        (b"\xff\xfe\n", "neither an address nor a name"),
        ("\x1b[2J", "neither an address nor a name"),
        ("1.1.1.1\x00", "neither an address nor a name"),
    ],
)
def test_junk_is_told_with_its_line_and_the_rest_is_probed(line: str | bytes, why: str) -> None:
    found = made("192.0.2.1", line, "192.0.2.9")
    assert len(found) == 2
    (junk,) = found.junk
    assert junk.place == "list:2"
    assert why in junk.why
    assert junk.why.isprintable()


def test_what_is_there_twice_is_probed_once_and_counted_names_that_come_to_it_too() -> None:
    found = made("192.0.2.1", "192.0.2.1 again", "2001:db8:0::1", "2001:db8::1", "a.example", "b.example", "A.example",
                 resolved={"a.example": "192.0.2.5", "b.example": "192.0.2.1"})  # fmt: skip
    assert [found.text(row) for row in range(len(found))] == ["192.0.2.1", "2001:db8::1", "a.example"]
    assert found.duplicates == 4


def test_a_name_without_an_address_stays_in_the_list_and_is_not_reachable() -> None:
    found = made("192.0.2.1", "gone.example", "192.0.2.2")
    assert found.missing == ("gone.example",)
    assert list(found.reachable()) == [0, 2]
    assert found.address(1) == ""


def test_urls_are_targets_where_they_are_asked_for_and_a_hash_in_them_is_no_remark() -> None:
    found = made("https://www.example.org/a#b shop", "192.0.2.1 # x", urls=True)
    assert [found.called(row) for row in range(len(found))] == ["shop", "192.0.2.1"]
    assert found.text(0) == "https://www.example.org/a#b"


def test_a_target_is_found_by_label_name_or_address_however_it_is_written() -> None:
    found = made("192.0.2.1 gw", "2001:db8::1", "a.example", resolved={"a.example": "192.0.2.7"})
    words = ("GW", "192.0.2.1", "2001:DB8:0:0::1", "a.example", "192.0.2.7")
    assert [found.find(word) for word in words] == [0, 0, 1, 2, 2]
    assert found.find("192.0.2.99") is None
    assert found.find("nobody") is None


def test_an_address_is_not_found_across_two_others() -> None:
    # The bytes of an IPv6 address may stand at the seam of its neighbours.
    seam = packed("2001:db8::1")[8:] + packed("2001:db8::2")[:8]
    assert made("2001:db8::1", "2001:db8::2").find(unpacked(seam)) is None


def test_there_is_an_end_to_targets_and_to_names() -> None:
    draft = Draft(most=2)
    draft.read("", "list", ["192.0.2.1", "192.0.2.2", "192.0.2.1", "192.0.2.3"])
    assert [str(junk) for junk in draft.junk] == ["list:4 is beyond the 2 targets of one instance"]
    assert draft.duplicates == 1
    draft = Draft()
    draft.read("", "list", (f"n{n}.example" for n in range(limits.NAMES_MOST + 3)))
    assert len(draft.keys) == limits.NAMES_MOST
    assert draft.junk_count == 3
    assert "write addresses" in draft.junk[0].why


def test_junk_is_remembered_up_to_a_number_and_counted_beyond() -> None:
    found = made(*["not/a target"] * 500)
    assert (found.junk_count, len(found.junk)) == (500, JUNK_KEPT)


# Files


def read(path: Path) -> Targets:
    draft = Draft()
    read_file(draft, path, path.stem)
    return draft.finish({}, 1)


def test_a_million_lines_with_junk_among_them_are_read_and_the_junk_is_told_by_line(tmp_path: Path) -> None:
    count = 1_000_000
    words = [f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}" for n in range(count)]
    words[41] = "10.0.0.41.7"
    words[99_999] = words[0]
    words[500_000] = "# half of it"
    words[999_999] = "???"
    path = tmp_path / "world.txt"
    path.write_text("\n".join(words))
    found = read(path)
    assert len(found) == count - 4
    assert found.duplicates == 1
    assert [junk.place for junk in found.junk] == ["world.txt:42", "world.txt:1000000"]
    assert found.groups == ("world",)
    assert len(found.addresses) == 16 * len(found)
    row = random.Random(1).randrange(42, 99_999)
    assert found.find(words[row]) == row - 1


def test_a_line_without_end_costs_no_memory_and_is_junk(tmp_path: Path) -> None:
    path = tmp_path / "long.txt"
    path.write_bytes(b"192.0.2.1\n" + b"x" * 3_000_000 + b"\n192.0.2.2\n")
    found = read(path)
    assert [found.text(row) for row in range(len(found))] == ["192.0.2.1", "192.0.2.2"]
    assert found.junk[0].place == "long.txt:2"


def test_what_is_no_readable_file_is_said(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for path, why in ((tmp_path / "gone", "no such file"), (tmp_path, "is"), (fifo, "is no file")):
        with pytest.raises(Failed, match=why):
            read(path)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "huge"
    with path.open("wb") as file:
        file.truncate(limits.FILE_MOST + 1)
    with pytest.raises(Failed, match="at most"):
        read(path)


def test_a_changed_file_has_another_stamp(tmp_path: Path) -> None:
    path = tmp_path / "list"
    assert stamp_of(path) is None
    path.write_text("a")
    first = stamp_of(path)
    fresh = tmp_path / "new"
    fresh.write_text("b")
    os.utime(fresh, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    fresh.replace(path)  # the same length and time: another file all the same
    assert stamp_of(path) != first


@given(st.lists(st.binary(max_size=200), max_size=60), st.booleans())
def test_whatever_stands_in_a_file_each_line_is_a_target_a_duplicate_a_remark_or_junk(
    lines: list[bytes], urls: bool
) -> None:
    draft = Draft()
    draft.read("", "list", lines, urls=urls)
    found = draft.finish({}, 1)
    blank = sum(1 for line in lines if not (line.decode("utf-8", "replace").partition("#")[0]).split())
    assert len(found) + found.duplicates + found.junk_count >= len(lines) - blank
    assert len(found) + found.duplicates + found.junk_count <= len(lines)
    assert len(found.addresses) == 16 * len(found)
    assert all(junk.why.isprintable() for junk in found.junk)
    assert all(found.text(row).isprintable() for row in range(len(found)))


_WORDS = st.sampled_from(["192.0.2.1", "192.0.2.2", "2001:db8::1", "a.example", "10.0.0.300", "#", "x y", "?", " "])


@given(st.lists(st.lists(_WORDS, max_size=4).map(" ".join), max_size=40))
def test_a_list_has_each_address_once_in_the_order_of_writing(lines: list[str]) -> None:
    found = made(*lines, resolved={"a.example": "192.0.2.2"})
    addresses = [found.address(row) for row in range(len(found))]
    assert len(set(addresses)) == len(addresses)
    again = made(*(found.text(row) for row in range(len(found))), resolved={"a.example": "192.0.2.2"})
    assert [again.text(row) for row in range(len(again))] == [found.text(row) for row in range(len(found))]
