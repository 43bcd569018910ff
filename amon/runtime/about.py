"""Which version of amon this is, looked up once: reading the metadata of a distribution takes milliseconds."""

from functools import cache
from importlib.metadata import PackageNotFoundError, version


@cache
def amon_version() -> str:
    try:
        return version("amon")
    except PackageNotFoundError:  # run from a copied folder; worth knowing, not worth dying of
        return "not installed"
