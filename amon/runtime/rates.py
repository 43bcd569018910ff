"""How many requests one person may make: what a site does for one must not keep it from the others."""

from amon.access import Quota
from amon.runtime.incoming import Incoming

_PERIOD = 60.0  # seconds
_PEOPLE = 20_000  # who are remembered; a pattern may let a whole university in


class Rates:
    """One quota per account, as its policy says; a policy with another figure begins a new one."""

    def __init__(self) -> None:
        self._quotas: dict[str, Quota] = {}

    def problem(self, incoming: Incoming, now: float) -> str:
        """Why this request is one too many, in words; empty while it is not. now: monotonic seconds."""
        most = incoming.door.authority.rate
        if not most:
            return ""
        quota = self._quotas.get(incoming.door.account)
        if quota is None or quota.most != most:
            quota = self._quotas[incoming.door.account] = Quota(most, _PERIOD, _PEOPLE)
        if quota.take(incoming.asker.jid, now):
            return ""
        return f"{incoming.asker.jid} has made {most} requests within a minute, which is all that this site takes; wait"
