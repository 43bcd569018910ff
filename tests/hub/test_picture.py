"""The fleet as one picture: the worst of its sites, and a line that says what."""

import pytest

from admin_console.hub.picture import fleet_picture
from amon.health import Level
from amon.runtime.fleet import Site
from amon.wire import HealthReport


def site(name: str, level: str = "ok", status: str = "", *, online: bool = True, seen: bool = True) -> Site:
    report = HealthReport(level, 3)
    return Site(
        name, f"{name}@agents.example.org", online, status=status, health=report if online else None,
        changed=1.0 if seen else None,
    )  # fmt: skip


def test_a_fleet_that_is_well_says_so_in_one_word() -> None:
    picture = fleet_picture([site("cern"), site("desy")])
    assert (picture.show, picture.status) == ("available", "OK 2/2")


def test_the_worst_comes_first_and_a_site_that_is_gone_is_as_bad_as_any() -> None:
    picture = fleet_picture(
        [site("ok1"), site("ral", "warn", "WARN 1/3 disk 91 %"), site("infn-t1", online=False),
         site("cern", "crit", "CRIT 1/7 httpd down since 14:02Z")]
    )  # fmt: skip
    assert picture.status == "CRIT 3/4: cern httpd down since 14:02Z, infn-t1 offline, ral disk 91 %"
    assert (picture.show, picture.level) == ("dnd", Level.critical)


@pytest.mark.parametrize(
    ("sites", "show", "status"),
    [
        ([], "available", "OK no sites"),
        ([site("a", "warn", "WARN 1/1 slow"), site("b")], "away", "WARN 1/2: a slow"),
        ([site("a", online=False, seen=False)], "xa", "UNKNOWN 1/1: a never seen"),
        ([site("a", "maint", "MAINT new disks until 16:00Z")], "xa", "MAINT 1/1: a new disks until 16:00Z"),
        ([site("a", "maint", "MAINT x"), site("b", "crit", "")], "dnd", "CRIT 1/2: b crit"),
        ([site("a", "no such level")], "xa", "UNKNOWN 1/1: a unknown"),
    ],
)
def test_each_level_has_its_show(sites: list[Site], show: str, status: str) -> None:
    picture = fleet_picture(sites)
    assert (picture.show, picture.status) == (show, status)


def test_a_thousand_bad_sites_and_what_they_say_make_one_short_harmless_line() -> None:
    picture = fleet_picture([site(f"s{n:04}", "crit", "CRIT 1/1 \x1b[31m\n" + "x" * 900) for n in range(1000)])
    assert picture.status.startswith("CRIT 1000/1000: s0000 ")
    assert len(picture.status) <= 200
    assert picture.status.isprintable()


def test_a_change_anywhere_in_a_large_fleet_is_a_change_of_the_picture() -> None:
    fleet = [site(f"s{n:04}", "crit", "CRIT 1/1 down") for n in range(100)]
    before = fleet_picture(fleet)
    after = fleet_picture([*fleet[:99], site("s0099")])
    assert before.troubles != after.troubles
