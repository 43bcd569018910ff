"""What a hub is told, hub.toml: what a console is told, and what only somebody needs who is always there."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from admin_console.settings import Settings, default_path, load_as, state_path
from amon.config import example
from amon.fields import Field

EXAMPLE = "amon hub example"


@dataclass(frozen=True, slots=True)
class HubSettings(Settings):
    """All of `hub.toml`."""

    prefix: Annotated[
        str, Field("begins a command in the room, as the sites have it", pattern=r"[^\s\w]{1,3}", longest=3)
    ] = "!"
    state: Annotated[Path | None, Field("directory for what must outlive a restart", example="/var/lib/amon-hub")] = (
        None
    )
    log: Annotated[Literal["debug", "info", "warning", "error"], Field("how much is said to the journal")] = "info"


def hub_path() -> Path:
    return default_path().with_name("hub.toml")


def load(path: Path) -> HubSettings:
    """The settings of this file, as `load_as` gives them."""
    settings = load_as(path, HubSettings, "hub", EXAMPLE)
    state = settings.state or state_path(settings.room) / "hub"
    return replace(settings, state=path.absolute().parent / state.expanduser())


def example_text() -> str:
    """A commented hub.toml."""
    head = (
        "# The hub of amon: the fleet as one contact. Its account is one of its own, and an admin of the room.\n"
        "# Paths are relative to this file. Most of it is as in the console's configuration.\n\n"
    )
    return head + example(HubSettings, live={"password_file": "hub.password"})
