"""What a Linux kernel (6.18) answered to packets of ours, recorded in network namespaces: prober, router, host.

Each scene: the address probed, slot and nonce of the probe, the packet as it was sent, and the first 160 bytes of what
came back, with its whole length. On loopback the request itself comes back first.
"""

import json
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amon.engine.packets.decode import decode
from amon.engine.packets.replies import ECHO, ERROR, EXCEEDED, FULL
from amon.engine.shapes import SNAP, Packets
from tests.engine import scalar

SCENES: dict[str, Any] = json.loads(Path(__file__).with_name("recorded.json").read_text())
IDENT = 0xA403
ROUTER = {4: "192.0.2.2", 6: "2001:db8:1::2"}

EXPECTED = {
    "echo-reply": (ECHO, 0, 0, 0), "echo-reply-6": (ECHO, 129, 0, 0),
    "loopback": (ECHO, 0, 0, 0), "loopback-6": (ECHO, 129, 0, 0),
    "time-exceeded": (EXCEEDED, 11, 0, 0), "time-exceeded-6": (EXCEEDED, 3, 0, 0),
    "network-unreachable": (ERROR, 3, 0, 0), "no-route-6": (ERROR, 1, 0, 0),
    "host-unreachable": (ERROR, 3, 1, 0), "unreachable-6": (ERROR, 1, 0, 0),
    "no-neighbour": (ERROR, 3, 1, 0), "no-neighbour-6": (ERROR, 1, 3, 0),
    "prohibited": (ERROR, 3, 13, 0), "prohibited-6": (ERROR, 1, 1, 0),
    "fragmentation-needed": (ERROR, 3, 4, 1300), "packet-too-big-6": (ERROR, 2, 0, 1300),
}  # fmt: skip
"""Kind, type, code, MTU."""


def packets_of(scene: dict[str, Any]) -> Packets:
    data = np.zeros((len(scene["packets"]), SNAP), np.uint8)
    for row, packet in enumerate(scene["packets"]):
        kept = bytes.fromhex(packet["data"])
        data[row, : len(kept)] = np.frombuffer(kept, np.uint8)
    lengths = [packet["length"] for packet in scene["packets"]]
    return Packets(data, np.array(lengths, np.uint32), np.zeros(len(data), np.int64))


@pytest.mark.parametrize("name", SCENES)
def test_a_kernels_answer_is_understood(name: str) -> None:
    scene = SCENES[name]
    replies = decode(packets_of(scene), IDENT)
    assert len(replies) == 1
    assert (replies.kind[0], replies.type[0], replies.code[0], replies.mtu[0]) == EXPECTED[name]
    assert (replies.how[0], replies.slot[0], replies.nonce[0]) == (FULL, scene["slot"], scene["nonce"])
    target = ip_address(scene["to"])
    assert (int(replies.quoted_high[0]), int(replies.quoted_low[0])) == scalar.halves(target)
    source = target if replies.kind[0] == ECHO else ip_address(ROUTER[target.version])
    assert (int(replies.source_high[0]), int(replies.source_low[0])) == scalar.halves(source)
    assert replies.foreign == len(scene["packets"]) - 1, "our own request on loopback"


@pytest.mark.parametrize("name", SCENES)
def test_a_kernel_took_what_we_crafted(name: str) -> None:
    """The packet as crafted then, of which the answers above are proof, is the one built by the book."""
    scene = SCENES[name]
    target = ip_address(scene["to"])
    loopback = target.is_loopback
    source = target if loopback else ip_address("2001:db8:1::1" if target.version == 6 else "192.0.2.1")
    built = scalar.Request(
        source, target, IDENT, scene["slot"], scene["nonce"], scene["size"], scene["ttl"], 0,
        scene["size"] > 1000, 1 + IDENT % 0xFFFE, b"amon probe engine",
    )  # fmt: skip
    assert built.packet()[:SNAP].hex() == scene["sent"]
