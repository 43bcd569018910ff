"""A module that needs something that is not installed."""

import no_such_library  # type: ignore[import-not-found]  # noqa: F401
