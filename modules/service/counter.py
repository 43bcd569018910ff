"""What a row of check results amounts to: failures in a row count, one success clears. Pure."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Result:
    """One check: whether it passed, and what to tell people."""

    good: bool
    text: str


@dataclass(frozen=True, slots=True)
class Count:
    """Where a service stands with its check."""

    passed: bool = False  # at least once since it was started
    failures: int = 0
    text: str = ""

    def after(self, result: Result) -> "Count":
        if result.good:
            return Count(passed=True, text=result.text)
        return replace(self, failures=self.failures + 1, text=result.text)

    def failing(self, needed: int) -> bool:
        return self.failures >= needed
