"""Inputs without coverage: seeds, cut, joined, repeated and sprinkled with words. Used where atheris is not there."""

from random import Random

from tests.fuzz.target import LONGEST, Target


class Mutator:
    """The same seed number gives the same inputs."""

    def __init__(self, target: Target, random: Random) -> None:
        self._seeds = tuple(target.seeds()) or (b"",)
        self._words = tuple(word.encode("utf-8", "replace") for word in target.words) or (b"\x00",)
        self._random = random

    def next(self) -> bytes:
        data = bytearray(self._random.choice(self._seeds))
        for _ in range(self._random.choice((0, 1, 1, 2, 3, 8))):
            self._change(data)
        return bytes(data[:LONGEST])

    def _change(self, data: bytearray) -> None:
        random = self._random
        start = random.randint(0, len(data))
        end = min(len(data), start + random.choice((1, 1, 2, 8, 64)))
        kind = random.randrange(6)
        if kind == 0:
            data[start:start] = random.choice(self._words)
        elif kind == 1:
            del data[start:end]
        elif kind == 2:
            data[start:end] = data[start:end] * random.choice((2, 3, 40))
        elif kind == 3 and start < len(data):
            data[start] = random.randrange(256)
        elif kind == 4:
            other = random.choice(self._seeds)
            data[start:] = other[random.randint(0, len(other)) :]
        else:
            data[start:start] = random.randbytes(random.choice((1, 2, 9)))
