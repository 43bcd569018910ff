"""Brings in msgspec without typing_extensions: 0.3 MB of every agent, measured. Python 3.11 has all that it takes."""

from amon.installed import bring

bring("msgspec", without=("typing_extensions",))
