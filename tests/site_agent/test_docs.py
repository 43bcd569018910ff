"""What the documents say of the configuration is what the program takes."""

import re
from pathlib import Path

from amon.access.invitation import Invitation
from amon.access.sshsig import SigningKey
from amon.module import Registry
from site_agent.place import Place as NewSite
from site_agent.place import configuration_of
from site_agent.reference import configuration_reference
from tests.site_agent.world import MODULES, Place, entry_points

ROOT = Path(__file__).parents[2]
_MADE = "<!-- Made by `amon-agent reference`, up to the end; a test compares. -->\n\n"


def test_the_reference_is_that_of_the_code() -> None:
    _, mark, tables = (ROOT / "docs" / "agent.md").read_text().partition(_MADE)
    assert mark, "the mark before the generated part is gone"
    assert tables == configuration_reference(Registry()), "replace it by what `amon-agent reference` prints"


def test_modules_without_settings_and_modules_that_do_not_load_stand_in_the_reference_too() -> None:
    known = {**MODULES, "plain": "tests.site_agent.samples:Plain"}
    text = configuration_reference(Registry(lambda: entry_points(known)))
    assert "### `[instance.plain.settings]`: module `plain`\n\nThere is nothing to set.\n" in text
    assert "### `[instance.broken.settings]`: module `broken`\n\nmodule 'broken' does not load: No module named" in text


def test_every_command_and_no_other_is_told() -> None:
    from site_agent.cli import parser

    told = set(re.findall(r"^\| `amon-agent (\w+)", (ROOT / "docs" / "agent.md").read_text(), re.MULTILINE))
    known = next(action.choices for action in parser()._actions if action.dest == "command_name")
    assert told == set(known or ())


def test_what_the_readme_puts_behind_the_configuration_of_a_new_site_has_no_mistake(tmp_path: Path) -> None:
    (more,) = re.findall(
        r"^cat >>/etc/amon/agent.toml <<'END'\n(.*?)^END$", (ROOT / "README.md").read_text(), re.M | re.S
    )
    place = Place(tmp_path)
    site = NewSite(place.path, place.state)
    SigningKey.generate(site.key, "site-1")
    site.passwords.path.write_text("hush\n")
    site.passwords.path.chmod(0o600)
    invitation = Invitation(
        "site-1@agents.example.org", "x" * 24, "ops@rooms.example.org", "alice@example.org", 0.0, tags={"tier": "1"}
    )
    loaded = place.load(configuration_of(invitation, site) + more)
    assert [str(one) for one in loaded.found] == []
    assert [spec.name for spec in loaded.specs] == ["uptime", "host", "service"]
