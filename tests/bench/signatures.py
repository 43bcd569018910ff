"""What signing costs an agent more: a signed request verified among the keys of many people, and a signed answer made.

Budget: 1 ms more for a signed command than for an unsigned one. What a person waits for ssh-keygen counts for nothing.
"""

import time
from collections.abc import Callable
from pathlib import Path

from amon.access.signers import read_signers
from amon.access.sshsig import COMMAND, RESULT, SigningKey
from tests.bench.ground import folder
from tests.bench.rows import Row, middle

_BUDGET = 1.0  # ms
_PEOPLE = 200
_BODY = b'{"by":"alice@people.example","request":"' + b"x" * 600 + b'"}'  # bytes like those of a real envelope


async def measure(quick: bool) -> list[Row]:
    with folder() as place:
        verify, sign = _work(place)
        took = [_milliseconds(work, 50 if quick else 2000) for work in (verify, sign)]
    return [
        Row(f"signed request: verified, {_PEOPLE} people's keys", took[0], "ms", None, "less"),
        Row("signed answer: made", took[1], "ms", None, "less"),
        Row("signed command: more than an unsigned one", sum(took), "ms", _BUDGET, "less", "both of the above"),
    ]


def _work(place: Path) -> tuple[Callable[[], object], Callable[[], object]]:
    keys = [SigningKey.generate(place / f"key{number}", "bench") for number in range(_PEOPLE)]
    lines = (f"person{number}@people.example {key.public.line}\n" for number, key in enumerate(keys))
    signers, _ = read_signers("".join(lines), "signers")
    last, who = keys[-1], f"person{_PEOPLE - 1}@people.example"
    sig = last.sign(_BODY, COMMAND)
    return lambda: signers.verify(_BODY, sig, COMMAND, who, 0.0), lambda: last.sign(_BODY, RESULT)


def _milliseconds(work: Callable[[], object], repeats: int) -> float:
    work()  # the first imports
    took = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return 1e3 * middle(took)
