"""All targets by name."""

from collections.abc import Mapping

from tests.fuzz import filled, keys, orders, packets, probes, wires, words
from tests.fuzz.target import Target

TARGETS: Mapping[str, Target] = {
    one.name: one for room in (words, wires, keys, filled, orders, packets, probes) for one in room.TARGETS
}
