"""What the engine prints for its host: the unit, a commented configuration, the reference of its keys."""

from importlib.resources import files
from typing import Any

from amon.config import example, reference
from amon.engine.program.settings import EngineSettings

_HEAD = """\
# Configuration of an amon engine (TOML). A line that begins with `#` says what a key means, or holds a default or an
# example: take the `#` away to change it, and that of the `[table]` it stands in. Sizes are written "64 KiB", "10 MB".
# Look it over: amon-engine check --config FILE     Take it over without a stop: systemctl reload amon-engine
"""
# What a first configuration cannot do without.
_LIVE: dict[str, Any] = {"tenants.site.users": ("amon",)}


def unit() -> str:
    return (files("amon.engine.program") / "amon-engine.service").read_text(encoding="utf-8")


def configuration_example() -> str:
    return f"{_HEAD}\n{example(EngineSettings, live=_LIVE)}"


def configuration_reference() -> str:
    """Markdown, from the same types as the example."""
    return reference(EngineSettings, "The whole file")
