"""A process that an earlier configuration started and this one does not know: told, and stopped on request."""

from amon.errors import Refused
from amon.health import Health

from .driver import Verb
from .keeper import Keeper
from .settings import Service
from .states import Condition

# How such a one is driven: only its record matters, which is in its directory.
UNCONFIGURED = Service(driver="process", argv=("/nonexistent",), begin=False)


class Leftover(Keeper):
    """It goes on running, because to end it is a person's decision; it is a warning until it is gone."""

    def health(self) -> Health:
        if self.seen.condition is not Condition.UP or self.facts().operation is not None:
            return super().health()
        text = "runs, but is not configured any more: stop it, or configure it again"
        return Health.fair(text, state=str(Condition.UP), since=self.seen.since)

    @property
    def gone(self) -> bool:
        return self.seen.condition is not Condition.UP and self.facts().operation is None

    async def do(self, verb: Verb, by: str) -> None:
        if verb != "stop":
            raise Refused(f"{self.name} is not configured any more, so it can only be stopped")
        await super().do(verb, by)
