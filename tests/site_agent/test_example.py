"""The example is a configuration: with a password and a place of its own it has no problem."""

import re
from pathlib import Path

from amon.module import Registry
from site_agent.example import configuration_example
from tests.site_agent.world import Place, entry_points


def example(place: Place) -> str:
    text = configuration_example(Registry(entry_points))
    text = text.replace('"/etc/amon/password"', '"$PASSWORD"')
    return text.replace('# state = "/var/lib/amon-agent"', 'state = "$STATE"')


def test_the_example_has_no_problem(tmp_path: Path) -> None:
    loaded = Place(tmp_path).load(example(Place(tmp_path)))
    assert [str(problem) for problem in loaded.found] == []
    assert [(plan.login.jid, plan.login.rooms) for plan in loaded.accounts] == [
        ("site-1@agents.example.org", ("ops@rooms.example.org",))
    ]
    assert [spec.name for spec in loaded.specs] == ["host", "service", "uptime"]


def test_the_keys_of_every_table_stand_in_it_also_when_all_comment_signs_are_taken_away(tmp_path: Path) -> None:
    place = Place(tmp_path)
    text = re.sub(r"(?m)^# (?=\[|\w+ = )", "", example(place))
    one_way = ("password", "credential", "certificate", "certificate_key")
    files = ("ca_file", "proxy", "key", "signers", "organisation")
    for needless in (*one_way, *files):
        text = re.sub(rf"(?m)^{needless} = .*$", "", text)
    # Each service belongs to one driver; that this one has the keys of all is what is told.
    said = [problem for problem in place.problems(text) if ".services.name" not in problem]
    assert said == []


def test_a_module_that_does_not_load_is_a_comment_with_the_reason() -> None:
    assert "# module 'broken' does not load: No module named 'tests.site_agent.nowhere'" in configuration_example(
        Registry(entry_points)
    )


def test_each_module_is_told_in_its_own_words() -> None:
    text = configuration_example(Registry(entry_points))
    assert "# How long this host has been up\n[instance.uptime]\n" in text
    assert '# shown as away this long after boot; a duration, at least 0 s\n# settle = "5 min"\n' in text
