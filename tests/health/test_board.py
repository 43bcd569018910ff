"""The board: from the health of the instances to what presence shows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amon.health import SITE, Board, Health, Level, Maintenance, Maintenances, Picture

NOW = 1_700_000_000.0
NONE = Maintenances()


def board(**healths: Health) -> Board:
    made = Board()
    for name, health in healths.items():
        made.put(name, health)
    return made


def picture(maintenances: Maintenances = NONE, /, **healths: Health) -> Picture:
    return board(**healths).picture(NOW, maintenances)


def work(scope: str, seconds: float = 60) -> Maintenances:
    return Maintenances([Maintenance(scope, NOW + seconds, "new disks", "eva@example.org")])


@pytest.mark.parametrize(
    ("health", "show", "status"),
    [
        (Health.good(), "available", "OK 2/2"),
        (Health.fair("slow"), "away", "WARN 1/2 it slow"),
        (Health.bad("", since=NOW), "dnd", "CRIT 1/2 it down since 22:13Z"),
        (Health.unknown("starting"), "xa", "UNKNOWN 1/2 it starting"),
        (Health(Level.maintenance, "being filled"), "xa", "MAINT it being filled"),
        (Health(Level.critical), "dnd", "CRIT 1/2 it crit"),
    ],
)
def test_a_level_has_its_presence_and_its_line(health: Health, show: str, status: str) -> None:
    shown = picture(it=health, other=Health.good())
    assert (shown.show, shown.status) == (show, status)


def test_an_empty_board_is_ok() -> None:
    assert (picture().show, picture().status) == ("available", "OK 0/0")


def test_leaves_are_counted_and_what_is_wrong_is_named_worst_first() -> None:
    service = Health.of({"httpd": Health.bad("no answer"), "ntpd": Health.good(), "ftp": Health.fair("slow")})
    shown = picture(service=service, uptime=Health.good())
    assert shown.status == "CRIT 2/4 httpd no answer, ftp slow"
    assert [(trouble.name, trouble.state) for trouble in shown.troubles] == [
        ("service/httpd", "down"), ("service/ftp", "warn"),
    ]  # fmt: skip
    assert (shown.counts[Level.ok], shown.counts[Level.critical]) == (2, 1)


def test_what_left_is_no_longer_shown() -> None:
    held = board(a=Health.bad("down"), b=Health.good())
    held.drop("a")
    held.drop("never there")
    assert held.picture(NOW, NONE).status == "OK 1/1"
    assert held.of("a") is None


def test_maintenance_of_an_instance_covers_its_troubles_and_no_others() -> None:
    covered = picture(work("service"), service=Health.bad("down"), host=Health.good())
    assert covered.show == "xa"
    assert covered.status == "MAINT service until 2023-11-14 22:14Z (eva@example.org: new disks)"
    both = picture(work("service"), service=Health.bad("down"), host=Health.fair("full"))
    assert (both.show, both.status) == ("away", "WARN 1/2 host full")


def test_maintenance_of_the_site_covers_everything_also_what_is_well() -> None:
    assert picture(work(SITE), service=Health.bad("down"), host=Health.unknown("?")).level is Level.maintenance
    assert picture(work(SITE), host=Health.good()).level is Level.maintenance


def test_maintenance_ends_by_itself() -> None:
    maintenances = work("service")
    held = board(service=Health.bad("down"))
    assert held.picture(NOW + 59.9, maintenances).show == "xa"
    assert held.picture(NOW + 60, maintenances).show == "dnd"


def test_an_account_reveals_only_its_own_instances() -> None:
    held = board(secret=Health.bad("down"), shown=Health.good())
    mine = held.picture(NOW, work("secret"), frozenset({"shown"}))
    assert (mine.status, mine.troubles) == ("OK 1/1", ())
    assert held.picture(NOW, NONE, frozenset({"secret"})).level is Level.critical
    assert held.picture(NOW, work(SITE), frozenset({"shown"})).level is Level.maintenance


def test_what_a_module_says_cannot_break_a_stanza_or_a_contact_list() -> None:
    shown = picture(it=Health.of({"a\u202eb": Health.bad("crashed (\x00\x1b[31m\nbad)", state="x\x07")}))
    said = [shown.status, *(text for trouble in shown.troubles for text in (trouble.name, trouble.state, trouble.text))]
    assert all(text.isprintable() for text in said)


@given(
    st.dictionaries(st.text(min_size=1, max_size=30), st.builds(Health, st.sampled_from(Level), st.text()), max_size=9)
)
def test_a_line_is_short_and_the_level_is_the_worst(healths: dict[str, Health]) -> None:
    shown = board(**healths).picture(NOW, NONE)
    assert len(shown.status) <= 200
    assert shown.level is max((health.level for health in healths.values()), default=Level.ok)
    assert sum(shown.counts.values()) == len(healths)
