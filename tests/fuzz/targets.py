"""All targets by name."""

from collections.abc import Mapping

from tests.fuzz import filled, keys, packets, wires, words
from tests.fuzz.target import Target

TARGETS: Mapping[str, Target] = {
    one.name: one for one in (*words.TARGETS, *wires.TARGETS, *keys.TARGETS, *filled.TARGETS, *packets.TARGETS)
}
