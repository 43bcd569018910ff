"""For all tests: property tests are not judged by the clock, which other work on the machine moves."""

from hypothesis import settings

settings.register_profile("amon", deadline=None)
settings.load_profile("amon")
