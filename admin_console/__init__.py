"""What admins use: the commands of `amon`, and for scripts `Console` (api.py)."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from admin_console.api import Console

__all__ = ["Console"]


def __getattr__(name: str) -> Any:
    """`from admin_console import Console`; the command line, which begins here too, does not wait for it."""
    if name in __all__:
        from admin_console import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
