"""A module that nobody asks for, so nobody may import it."""

from tests.module.samples.good import Plain

__all__ = ["Plain"]
