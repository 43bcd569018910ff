"""What the console remembers, and what completion makes of it."""

from pathlib import Path

import pytest

from admin_console.cache import Cache, Known, Memory, default_path
from admin_console.completion import targets

KNOWN: Known = {
    "m1": {"tag": ("tier=1", "vo=atlas"), "module": ("service",)},
    "m2": {"tag": ("tier=0",)},
    "old": {"tag": ("x=1",)},
}


def test_names_and_facts_of_marks_that_are_still_shown_are_kept(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "amon" / "fleet.json")
    cache.remember("ops@rooms", {"fnal": "m1", "cern": "m2", "new": ""}, KNOWN)
    memory = Cache(tmp_path / "amon" / "fleet.json").recall("ops@rooms")
    assert memory.names == ("cern", "fnal", "new")
    assert set(memory.known) == {"m1", "m2"}
    assert memory.marks == {"fnal": "m1", "cern": "m2"}
    assert memory.tags == ["tier=0", "tier=1", "vo=atlas"]
    assert (tmp_path / "amon" / "fleet.json").stat().st_mode & 0o077 == 0


def test_rooms_do_not_mix(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "fleet.json")
    cache.remember("a@rooms", {"cern": ""}, {})
    cache.remember("b@rooms", {"fnal": ""}, {})
    assert cache.recall("a@rooms").names == ("cern",)
    assert cache.recall("c@rooms") == Memory()
    assert cache.everything().names == ("cern", "fnal")


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"ops@rooms": 3}', '{"ops@rooms": {"names": 3, "known": [1], "marks": 2}}', "[" * 9999],
)
def test_a_broken_cache_is_an_empty_one(tmp_path: Path, content: str) -> None:
    (tmp_path / "fleet.json").write_text(content)
    cache = Cache(tmp_path / "fleet.json")
    assert cache.recall("ops@rooms") == Memory()
    cache.remember("ops@rooms", {"cern": ""}, {})
    assert cache.recall("ops@rooms").names == ("cern",)


def test_a_cache_that_cannot_be_written_is_no_trouble(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cache = Cache(tmp_path / "file" / "fleet.json")
    cache.remember("ops@rooms", {"cern": ""}, {})
    assert cache.recall("ops@rooms") == Memory()


def test_where_it_lies() -> None:
    assert default_path({"XDG_CACHE_HOME": "/c"}) == Path("/c/amon/fleet.json")
    assert default_path({"HOME": "/h"}) == Path("/h/.cache/amon/fleet.json")


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("ce", ["cern"]),
        ("cern,f", ["cern,fnal"]),
        ("not (c", ["not (cern"]),
        ("health:c", ["health:crit"]),
        ("tag:ti", ["tag:tier", "tag:tier=0", "tag:tier=1"]),
        ("module:", ["module:service"]),
        ("al", ["all"]),
        ("nobody", []),
    ],
)
def test_completion_offers_what_is_known(typed: str, offered: list[str]) -> None:
    assert targets(typed, Memory(("cern", "fnal"), {name: KNOWN[name] for name in ("m1", "m2")})) == offered


def test_names_of_other_rooms_are_told_apart_from_ours(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "fleet.json")
    cache.remember("a@rooms", {"cern": ""}, {})
    cache.remember("b@rooms", {"fnal": ""}, {})
    assert cache.elsewhere("a@rooms") == {"fnal"}
    assert cache.elsewhere("c@rooms") == {"cern", "fnal"}
