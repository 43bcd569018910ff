"""Configuration: TOML to typed settings with all its mistakes at once, and from the types an example and a reference.

The types are frozen dataclasses whose fields carry `amon.fields.Field`; what a key means is written there and nowhere
else. Nothing here prints a value of a secret field, nor a line of a file that may hold one.
"""

from amon.config.example import comment, example
from amon.config.read import known_good, read
from amon.config.reference import reference
from amon.config.sources import NoSecret, Sources, WrongMode
from amon.config.toml import SYNTAX, parse

__all__ = [
    "SYNTAX",
    "NoSecret",
    "Sources",
    "WrongMode",
    "comment",
    "example",
    "known_good",
    "parse",
    "read",
    "reference",
]
