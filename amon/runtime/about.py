"""What is known about a site that rarely changes: the version of amon it runs, and the mark its facts are known by."""

import hashlib
from collections.abc import Iterable, Mapping
from functools import cache

from amon.installed import version_of

_MOST_PARTS = 200
_MOST_CHARACTERS = 4096


@cache
def amon_version() -> str:
    """Looked up once: reading the metadata of a distribution takes milliseconds."""
    # Run from a copied folder there is none: worth knowing, not worth dying of.
    return version_of("amon") or "not installed"


def mark_of(facts: Mapping[str, Iterable[str]]) -> str:
    """Goes with presence and changes when the facts do, so that a console asks for them once.

    A console makes it again from what it was told: a site with another's mark in its presence (as in the attacks on
    XEP-0115) must not have its own tags taken for the other's.
    """
    said = repr(sorted((name, tuple(values)) for name, values in facts.items() if tuple(values)))
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def tell_parts(known: Mapping[str, str]) -> dict[str, list[str]]:
    """Names of parts and their modules as facts: how many there are, and which, if that is not too much to tell."""
    said = sorted(f"{module}:{name}" for name, module in known.items())
    fits = len(said) <= _MOST_PARTS and sum(len(one) for one in said) <= _MOST_CHARACTERS
    return {"parts": [str(len(said))], "part": said if fits else []}


def told_parts(facts: Mapping[str, Iterable[str]]) -> dict[str, str] | None:
    """What `tell_parts` was given; None where not all of them were told."""
    said = tuple(facts.get("part", ()))
    if tuple(facts.get("parts", ())) != (str(len(said)),):
        return None
    return {name: module for module, _, name in (one.partition(":") for one in said)}
