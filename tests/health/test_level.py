"""Health: the worst of its parts, and the names of its leaves."""

from hypothesis import given
from hypothesis import strategies as st

from amon.health import Health, Level, worst

LEVELS = st.sampled_from(Level)


def test_from_good_to_bad() -> None:
    assert list(Level) == [Level.ok, Level.maintenance, Level.unknown, Level.warning, Level.critical]
    assert [level.word for level in Level] == ["ok", "maint", "unknown", "warn", "crit"]


def test_nothing_to_look_after_has_nothing_wrong() -> None:
    assert worst([]) is Level.ok
    assert Health.of({}) == Health(Level.ok)


@given(st.dictionaries(st.sampled_from("abcde"), LEVELS, min_size=1))
def test_a_whole_is_as_bad_as_its_worst_part_and_names_only_what_is_not_well(levels: dict[str, Level]) -> None:
    whole = Health.of({name: Health(level, f"text-{name}") for name, level in levels.items()})
    assert whole.level is max(levels.values())
    for name, level in levels.items():
        assert (f"{name} text-{name}" in whole.text) == (level is not Level.ok)


def test_the_worst_part_is_named_first() -> None:
    parts = {"a": Health.fair("slow"), "b": Health.bad("down"), "c": Health.good(), "d": Health.bad("")}
    assert Health.of(parts).text == "b down, d, a slow"


def test_leaves_have_their_full_names() -> None:
    health = Health.of({"httpd": Health.bad("down"), "db": Health.of({"disk": Health.good(), "log": Health.good()})})
    assert [name for name, _ in health.leaves("service")] == ["service/httpd", "service/db/disk", "service/db/log"]
    assert list(Health.good("x").leaves("uptime")) == [("uptime", Health.good("x"))]


def test_each_way_to_say_it_has_its_word_for_targets() -> None:
    said = [Health.good(), Health.fair("x"), Health.bad("x"), Health.unknown("x"), Health.bad("x", state="failed")]
    assert [health.state for health in said] == ["up", "warn", "down", "unknown", "failed"]
