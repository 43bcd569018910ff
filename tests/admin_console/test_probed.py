"""What a console sends along of the sites that a line names."""

import pytest

from admin_console.probed import addresses, named, probed, strangers
from amon.errors import Refused
from amon.runtime.delivery import Job, request_of
from amon.runtime.fleet import Fleet, Site
from amon.runtime.signing import signed
from amon.testing import FakeClock
from amon.wire import body_of, read_envelope, unseal

ID = "01JD8M5W8X1V6Q2R3S4T5V6W7X"


async def fleet_of(**tags: dict[str, str]) -> Fleet:
    fleet = Fleet(FakeClock())
    for name, of_site in tags.items():
        fleet.sites[name] = Site(name, f"{name}@agents.example", online=True, tags=of_site)
    return fleet


async def test_each_site_that_is_named_comes_with_its_addresses_of_both_families() -> None:
    fleet = await fleet_of(cern={"probe": "192.0.2.1"}, desy={"probe4": "192.0.2.2", "probe6": "2001:db8::2"}, kek={})
    assert await probed(fleet, "probe ping @desy -c 3") == {"desy": "192.0.2.2 2001:db8::2"}
    assert await probed(fleet, "probe peers @all") == {
        "cern": "192.0.2.1",
        "desy": "192.0.2.2 2001:db8::2",
        "kek": "",  # named, so that a site can say whose address is missing
    }


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("probe ping @cern", ["cern"]),
        ("probe ping @CERN @kek", ["cern", "kek"]),
        ("probe ping @tag:tier=1", ["cern"]),
        ("probe ping '@cern'", []),  # quoted: a word and no site
        ("probe ping 192.0.2.1", []),
        ("probe ping @fnal", []),  # the site says that it knows none of that name
        ("probe ping @health:", []),
        ("probe ping '@cern", []),
        ("whoami alice@cern", []),
    ],
)
async def test_what_is_no_name_of_a_site_sends_nothing_along(line: str, names: list[str]) -> None:
    fleet = await fleet_of(cern={"tier": "1", "probe": "192.0.2.1"}, kek={"tier": "2"})
    assert list(await probed(fleet, line)) == names


def test_what_a_site_says_of_itself_is_bounded_and_cannot_command_a_terminal() -> None:
    site = Site("cern", "cern@agents.example", tags={"probe": "192.0.2.1\x1b[2J," + "9" * 1000, "probe4": "192.0.2.1"})
    told = addresses(site)
    assert told.isprintable()
    assert len(told) == 256


async def test_a_fleet_too_large_for_one_request_is_refused_with_the_next_step() -> None:
    fleet = await fleet_of(**{f"site{n}": {"probe": "192.0.2.1"} for n in range(2_001)})
    with pytest.raises(Refused, match=r"2001 sites.*name fewer"):
        await probed(fleet, "probe peers @all")


async def test_the_largest_fleet_that_is_told_of_fits_into_a_signed_request_and_a_larger_one_is_refused() -> None:
    tags = {"probe4": "255.255.255.255", "probe6": "2001:db8:1111:2222:3333:4444:5555:6666"}

    async def told(count: int) -> dict[str, str]:
        return await probed(
            await fleet_of(**{f"site-of-a-name-{n:04}": tags for n in range(count)}), "probe peers @all"
        )

    count = 600
    found = await told(count)

    async def sign(message: bytes, namespace: str) -> str:
        return "U1NIU0lH"

    names = tuple(found)[:200]
    job = Job(ID, "probe peers @all", names, probed=found, whole=count)
    made = await signed(job, "alice@people.example", "ops@rooms.example", FakeClock(), sign)
    assert len(read_envelope(unseal(made.sealed[names[0]]).body).request.sites) == count
    with pytest.raises(Refused, match="in several lines"):
        await told(900)


def test_a_line_that_names_nobody_has_no_targets() -> None:
    assert named("service restart httpd") == []


async def test_a_name_that_no_site_has_is_worth_a_note() -> None:
    fleet = await fleet_of(cern={}, desy={})
    assert strangers(fleet, "probe ping @desyy 192.0.2.1") == ["no site is named 'desyy'; did you mean desy?"]
    assert strangers(fleet, "probe ping @desy @all 192.0.2.1") == []


async def test_what_is_told_of_sites_is_a_part_of_what_is_signed_and_the_line_stays_as_it_was_typed() -> None:
    signed_bytes: list[bytes] = []

    async def sign(message: bytes, namespace: str) -> str:
        signed_bytes.append(message)
        return "U1NIU0lH"

    job = Job(ID, "probe peers @all", ("cern",), probed={"cern": "192.0.2.1", "desy": ""})
    made = await signed(job, "alice@people.example", "ops@rooms.example", FakeClock(), sign)
    (body,) = {unseal(text).body for text in made.sealed.values()}
    assert body.encode() == signed_bytes[0]
    request = read_envelope(body).request
    assert (request.line, request.sites) == ("probe peers @all", {"cern": "192.0.2.1", "desy": ""})


def test_a_request_that_names_no_site_is_what_it_was_before() -> None:
    assert "sites" not in body_of(request_of(Job(ID, "uptime", ("cern",)), ("cern",)))
