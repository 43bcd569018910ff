"""Who is meant by a target, given what presence says of the fleet."""

import pytest

from amon.target import Facts, parse, select, unknown_names

CERN = Facts("cern", {"tier": "0", "country": "CH"}, "ok", {}, frozenset({"service", "switch"}))
FNAL_DOWN = {"service/httpd": "down", "web/nginx": "failed"}
FNAL = Facts("fnal", {"Tier": "1", "country": "US"}, "critical", FNAL_DOWN, frozenset({"service"}))
T2_A = Facts("t2-a", {"tier": "2"}, "warn", {"service/httpd": "Starting"}, frozenset({"service", "probe"}))
T2_B = Facts("t2-b", {"tier": "2"}, "maintenance", {}, frozenset({"probe"}))
GONE = Facts("gone", {}, None, {"service/httpd": "down"}, frozenset({"service"}), online=False)
FLEET = (T2_B, CERN, FNAL, T2_A, GONE)


@pytest.mark.parametrize(
    ("target", "names"),
    [
        ("all", "cern fnal gone t2-a t2-b"),
        ("ALL", "cern fnal gone t2-a t2-b"),
        ("cern", "cern"),
        ("CERN", "cern"),
        ("cern, fnal", "cern fnal"),
        ("cern,cern or cern", "cern"),
        ("t2-*", "t2-a t2-b"),
        ("t2-?", "t2-a t2-b"),
        ("*n*", "cern fnal gone"),
        ("?", ""),
        ("nosuch", ""),
        ("tag:tier=1", "fnal"),
        ("tag:tier", "cern fnal t2-a t2-b"),
        ("tag:country=c*", "cern"),
        ("tag:country=ch", "cern"),
        ("tag:rack", ""),
        ("health:crit", "fnal"),
        ("health:critical", "fnal"),
        ("health:ok", "cern"),
        ("health:warn", "t2-a"),
        ("health:maint", "t2-b"),
        ("health:unknown", "gone"),
        ("module:switch", "cern"),
        ("module:s*", "cern fnal gone t2-a"),
        ("service:httpd=down", "fnal"),
        ("service:nginx=failed", "fnal"),
        ("service:web/nginx=failed", "fnal"),
        ("service:service/nginx=failed", ""),
        ("service:httpd=starting", "t2-a"),
        ("service:httpd=up", "cern"),
        ("service:httpd=ok", "cern"),
        ("service:nginx=up", "cern t2-a"),
        ("service:*=up", "cern"),
        ("service:*=failed", "fnal"),
        ("not health:ok", "fnal gone t2-a t2-b"),
        ("not service:httpd=down", "cern gone t2-a t2-b"),
        ("all and not cern", "fnal gone t2-a t2-b"),
        ("tag:tier=2 and health:warn, cern", "cern t2-a"),
        ("tag:tier=2 and (health:warn, cern)", "t2-a"),
        ("not (cern or fnal) and tag:tier", "t2-a t2-b"),
        ("not not cern", "cern"),
    ],
)
def test_a_target_means_these_sites(target: str, names: str) -> None:
    assert select(parse(target), FLEET) == tuple(names.split())


ALL_WELL = Facts(
    "well", modules=frozenset({"service", "host"}),
    known={"service/httpd": "service", "web/nginx": "service", "host/disk-root": "host", "host/load": "host"},
)  # fmt: skip
FULL = Facts(
    "full", parts={"host/disk-root": "full", "new/late": "down"}, modules=frozenset({"service", "host"}),
    known={"host/disk-root": "host", "host/load": "host", "service": "service"},
)  # fmt: skip
HOST = Facts("host", modules=frozenset({"host"}), known={"host/disk-root": "host"})
DARK = Facts("dark", modules=frozenset({"service"}), known={"service/httpd": "service"}, online=False)


@pytest.mark.parametrize(
    ("target", "names"),
    [
        ("service:httpd=up", "well"),
        ("service:nosuch=up", ""),
        ("service:nginx=up", "well"),
        ("service:web/nginx=up", "well"),
        ("web:nginx=up", "well"),
        ("service:service/nginx=up", ""),
        ("service:http*=up", "well"),
        ("host:disk-root=full", "full"),
        ("host:disk-root=up", "host well"),
        ("host:load=up", "full well"),
        ("host:*=up", "host well"),
        ("service:disk-root=full", ""),
        ("host:httpd=up", ""),
        ("service:late=down", "full"),
        ("new:late=down", "full"),
        ("nosuch:load=up", ""),
        ("not service:httpd=up", "dark full host"),
    ],
)
def test_where_its_parts_are_known_only_a_site_that_has_the_part_is_meant(target: str, names: str) -> None:
    assert select(parse(target), (ALL_WELL, FULL, HOST, DARK)) == tuple(names.split())


@pytest.mark.parametrize(("known", "names"), [({}, ()), ({"host/load": "host"}, ()), ({"web/a": "service"}, ("x",))])
def test_all_services_are_up_only_where_there_is_one(known: dict[str, str], names: tuple[str, ...]) -> None:
    site = Facts("x", modules=frozenset({"service", "host"}), known=known)
    assert select(parse("service:*=up"), [site]) == names


def test_nobody_is_selected_from_an_empty_fleet_even_by_all() -> None:
    assert select(parse("all"), ()) == ()


def test_names_are_frozen_in_small_letters() -> None:
    assert select(parse("Cern"), [Facts("CERN")]) == ("cern",)


@pytest.mark.parametrize(
    ("target", "name"),
    [("cern", "cern"), ("(CERN)", "cern"), ("cern*", None), ("cern,fnal", None), ("not cern", None), ("all", None)],
)
def test_only_one_full_name_needs_no_confirmation(target: str, name: str | None) -> None:
    assert parse(target).plain_name() == name


def test_names_that_nobody_has_are_told_with_what_was_meant() -> None:
    unknown = unknown_names(parse("cern, fnla, t3-* or xyzzy"), FLEET)
    assert unknown == {"fnla": ("fnal",), "xyzzy": ()}


def test_only_the_first_unknown_names_are_worth_a_search() -> None:
    unknown = unknown_names(parse("fnl0,fnl1,fnl2,fnl3,fnl4,fnl5"), FLEET)
    assert list(unknown.values()) == [("fnal",)] * 5 + [()]


def test_names_are_listed_once_in_the_order_written() -> None:
    assert parse("fnal, cern and not fnal, t2-*").names() == ("fnal", "cern")
