"""The registry: what is installed, who claims a name, and why something does not load."""

import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from amon.installed import entry_points
from amon.module import Registry
from amon.module.registry import GROUP

SAMPLES = "tests.module.samples"


def installed(folder: Path, **claims: dict[str, str]) -> Registry:
    """A registry that sees these distributions, as the installer leaves them: name to its table of modules."""
    for distribution, table in claims.items():
        info = folder / f"{distribution}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        lines = [f"{name} = {SAMPLES}.{value}" for name, value in table.items()]
        (info / "entry_points.txt").write_text("\n".join(["[amon.modules]", *lines, ""]))

    return Registry(lambda: entry_points(GROUP, [str(folder)]))


def reason(registry: Registry, name: str) -> str:
    found = registry.find(name)
    assert found.cls is None
    return found.reason


def test_a_module_is_found_by_its_name(tmp_path: Path) -> None:
    registry = installed(tmp_path, ours={"sized": "good:Sized", "larger": "good:Larger", "plain": "good:Plain"})
    assert registry.names == ["larger", "plain", "sized"]
    for name in registry.names:
        cls = registry.find(name).cls
        assert cls is not None
        assert cls.__name__.lower() == name


def test_an_unknown_name_is_answered_with_what_there_is(tmp_path: Path) -> None:
    registry = installed(tmp_path, ours={"sized": "good:Sized", "plain": "good:Plain"})
    assert reason(registry, "siezd") == "no module 'siezd' is installed; did you mean sized?"
    assert reason(registry, "quux") == "no module 'quux' is installed; installed: plain, sized"
    assert reason(Registry(list), "quux") == "no module 'quux' is installed; installed: none"


def test_a_name_that_two_claim_belongs_to_neither_and_both_are_named(tmp_path: Path) -> None:
    registry = installed(tmp_path, ours={"sized": "good:Sized"}, theirs={"sized": "good:Larger"})
    said = reason(registry, "sized")
    assert said.startswith("module 'sized' is claimed by ours (")
    assert " and theirs (" in said


def test_two_who_claim_the_same_place_are_two_still(tmp_path: Path) -> None:
    registry = installed(tmp_path, ours={"sized": "good:Sized"}, theirs={"sized": "good:Sized"})
    assert "claimed by ours" in reason(registry, "sized")


def test_what_is_listed_twice_by_the_same_owner_is_one(tmp_path: Path) -> None:
    registry = installed(tmp_path, ours={"sized": "good:Sized"})
    point = EntryPoint("x", f"{SAMPLES}.good:Plain", "amon.modules")
    assert registry.find("sized").cls is not None
    assert Registry(lambda: [point, point]).find("x").cls is not None


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("nowhere:Gone", "does not load: No module named 'tests.module.samples.nowhere'"),
        ("lacking:Any", "install what provides 'no_such_library'"),
        ("good:Gone", "does not load: AttributeError"),
        ("exploding:Any", "does not load: ZeroDivisionError: at import"),
        ("leaving:Any", "does not load: SystemExit: 3"),
        ("good:NoModule", "good:NoModule is not an amon Module"),
        ("good:not_even_a_class", "is not an amon Module"),
        ("odd:Unbounded", "declared wrongly: Unbounded.say: parameter what is text without pattern"),
        ("odd:Untyped", "declared wrongly: Untyped must derive from Module[Settings]"),
        ("odd:Loose", "the settings of Loose must be a dataclass"),
        ("odd:Unresolved", "declared wrongly: name 'Nowhere' is not defined"),
    ],
)
def test_what_does_not_load_says_why_and_harms_nobody(tmp_path: Path, value: str, says: str) -> None:
    registry = installed(tmp_path, ours={"odd": value, "plain": "good:Plain"})
    assert says in reason(registry, "odd")
    assert registry.find("plain").cls is not None


def test_nothing_is_imported_but_what_is_asked_for(tmp_path: Path) -> None:
    registry = installed(tmp_path, ours={"plain": "good:Plain", "other": "untouched:Plain"})
    assert registry.find("plain").cls is not None
    assert "other" in registry.names
    assert f"{SAMPLES}.untouched" not in sys.modules


def test_our_own_modules_come_in_by_the_same_table() -> None:
    import modules.uptime

    point = EntryPoint("uptime", "modules.uptime:UptimeModule", "amon.modules")
    assert Registry(lambda: [point]).find("uptime").cls is modules.uptime.UptimeModule
