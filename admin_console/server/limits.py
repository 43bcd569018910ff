"""How much one account may send, and how much a server keeps for it: from the number of sites, with the arithmetic.

Sources: amon/wire (a request has at most 64 KiB), ejabberd.yml(5), prosody's mod_smacks.lua. That these do not slow a
broadcast or a busy console down is measured by `python -m tests.servers.load`.
"""

from dataclasses import dataclass

_KIB, _MIB = 1024, 1024 * 1024
_REQUEST = 64 * _KIB  # bytes of the largest request
_LEAST = 64 * _MIB
_REFILL = 32  # seconds until an empty allowance is full again
_PEOPLE = 100


@dataclass(frozen=True, slots=True)
class Limits:
    """burst: bytes one connection may send at once; rate: bytes a second for ever; queue: stanzas unacknowledged."""

    burst: int
    rate: int
    queue: int
    occupants: int
    backlog: int
    why: tuple[str, ...]


def limits(sites: int) -> Limits:
    """For a fleet of so many sites."""
    burst = max(_LEAST, sites * _REQUEST)
    rate = burst // _REFILL
    queue = max(5000, 10 * sites)
    need = sites * _REQUEST / _MIB
    why = (
        f"{sites} sites. The most that is ever sent at once is a console's largest request (64 KiB), one copy to each:",
        f"{sites} x 64 KiB = {need:.1f} MiB; a site's largest answer has 256 KiB. So each connection may send",
        f"{burst // _MIB} MiB at once (64 MiB at least: 6,500 messages of 10 KiB), refilled in {_REFILL} s, that is",
        f"{rate / _MIB:.1f} MiB a second for ever. Beyond that the server reads slowly; nothing is lost or refused.",
    )
    return Limits(burst, rate, queue, occupants=2 * sites + _PEOPLE, backlog=4096, why=why)
