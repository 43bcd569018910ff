"""The real engine before the scripted network, by each way there is, and what rights each takes."""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab.engine import MUCH, Prober, Value, prober
from tests.lab.namespaces import End, Namespace
from tests.lab.tun import Behind, Fate, scripted

Limits = Mapping[str, Value]
LINK = ("xdp", "xsk+ring", "packet+ring")
"""Ways that write Ethernet; the others stand before a network without."""
WAYS = (*LINK, "raw", "ping")
NOBODY = 65534
_UNPRIVILEGED = (
    "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all",
    "--no-new-privs",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scene:
    end: End
    script: Behind
    prober: Prober


@contextmanager
def folder() -> Iterator[Path]:
    """That anybody may read, with a short name: a socket's path has 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="amon-lab-") as made:
        os.chmod(made, 0o755)  # noqa: PTH101
        yield Path(made)


@asynccontextmanager
async def scene(
    way: str, fates: Sequence[Fate], *, mtu: int = 1500, limits: Limits = MUCH, **settings: Value
) -> AsyncIterator[Scene]:
    """An engine that sends by this way, and by no other. `ping` has no rights at all."""
    with scripted(fates, ethernet=way in LINK, mtu=mtu) as (end, script):
        async with engine(way, end, limits=limits) as one:
            yield Scene(end, script, one)


@asynccontextmanager
async def engine(way: str, end: End, *, limits: Limits = MUCH, keep_rights: bool = False) -> AsyncIterator[Prober]:
    """keep_rights: all of them, also CAP_IPC_LOCK, which stands for the unit's LimitMEMLOCK=."""
    with folder() as place:
        if way == "ping":
            let_everybody_ping(end.space)
            shutil.chown(place, NOBODY, NOBODY)
            async with prober(place, end.space, words=_UNPRIVILEGED, limits=limits) as one:
                yield one
        else:
            interface = end.interface if way in LINK else ""
            async with prober(
                place,
                end.space,
                interface=interface,
                way=way,
                limits=limits,
                keep_rights=keep_rights,
                lock_memory=keep_rights,
            ) as one:
                yield one


def let_everybody_ping(space: Namespace) -> None:
    space.sysctl(net__ipv4__ping_group_range="0 2147483647")
