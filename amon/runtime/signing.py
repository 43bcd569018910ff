"""A job signed by its asker: one signature for each pack of names, over exactly the bytes that travel."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from amon.access import COMMAND
from amon.clock import Clock
from amon.runtime.gather import PACK, Job, request_of
from amon.wire import Envelope, body_of, seal

_LIFE = 180.0  # seconds in which a site may begin; ssh-keygen may wait for a passphrase or a touch for two minutes
_TOUCH = 20.0  # seconds more for each pack: somebody touches a hardware key for each of them
_MOST_LIFE = 300.0  # sites take no more

Sign = Callable[[bytes, str], Awaitable[str]]
"""Message and namespace -> signature, SSHSIG in base64. `Failed` says why there is none."""


async def signed(job: Job, by: str, fleet: str, clock: Clock, sign: Sign) -> Job:
    """The job with what its sites get, signed. by: bare address of the asker. fleet: bare address of its room."""
    packs = [job.names[start : start + PACK] for start in range(0, len(job.names), PACK)]
    life = min(_MOST_LIFE, _LIFE + job.accept_by + _TOUCH * (len(packs) - 1))
    sealed: dict[str, str] = {}
    for names in packs:
        now = clock.time()
        body = body_of(Envelope(by, fleet, now, now + life, request_of(job, names)))
        text = seal(body, await sign(body.encode(), COMMAND))
        sealed.update(dict.fromkeys(names, text))
    return replace(job, sealed=sealed)
