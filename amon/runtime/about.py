"""What is known about a site that rarely changes: the version of amon it runs, and the mark its facts are known by."""

import hashlib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version


@cache
def amon_version() -> str:
    """Looked up once: reading the metadata of a distribution takes milliseconds."""
    try:
        return version("amon")
    except PackageNotFoundError:  # run from a copied folder; worth knowing, not worth dying of
        return "not installed"


def mark_of(facts: Mapping[str, Iterable[str]]) -> str:
    """Goes with presence and changes when the facts do, so that a console asks for them once.

    A console makes it again from what it was told: a site with another's mark in its presence (as in the attacks on
    XEP-0115) must not have its own tags taken for the other's.
    """
    said = repr(sorted((name, tuple(values)) for name, values in facts.items() if tuple(values)))
    return hashlib.sha256(said.encode()).hexdigest()[:16]
