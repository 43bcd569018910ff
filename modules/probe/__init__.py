"""Probes: whether others can be reached from here, and how fast; by schedule around the clock, and on demand.

An instance is a named configuration: one kind of probe, its targets, its limits. Its health has a part for each target,
or for each group of them where they are many. See `shape` for what a kind of probe is, `course` for what goes on by
itself, `results` for the port by which results go to whoever keeps them, and docs/probes.md for how to use it.
"""

from .module import ProbeModule
from .results import Column, Gap, Results, Sink
from .settings import Settings

__all__ = ["Column", "Gap", "ProbeModule", "Results", "Settings", "Sink"]
