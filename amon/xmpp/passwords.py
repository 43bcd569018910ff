"""An account's passwords in the order to try them: the server tells by refusing which one is not (any more) right.

While a password is being changed nobody knows for a moment which one holds: an answer can be lost, a process can die
between the change and the note of it. Whoever keeps both can always log in.
"""

from amon.fields import Secret
from amon.xmpp.address import prepared_password

REFUSED = ("not-authorized", "credentials-expired")  # RFC 6120, 6.5: what another password may mend


class Passwords:
    """`works` is the place of the one that is tried, or that worked: 0 is the first, then the spare ones."""

    def __init__(self, first: str, spare: tuple[str, ...] = ()) -> None:
        self._all = list(dict.fromkeys((first, *spare)))
        for password in self._all:
            prepared_password(password)  # says at once if it can be none
        self._hidden = [Secret(password) for password in self._all]  # as long as they are tried no log shows them
        self.works = 0
        self._refused = 0

    @property
    def current(self) -> str:
        return self._all[self.works]

    def accepted(self) -> None:
        """There is a session: stay with this one."""
        self._refused = 0

    def next(self) -> bool:
        """The current one was refused: the next one is tried. False if every one was, so that there is no hurry."""
        self._refused += 1
        self.works = (self.works + 1) % len(self._all)
        if self._refused < len(self._all):
            return True
        self._refused = 0
        return False

    def may_become(self, new: str) -> None:
        """The server is being asked to take `new`."""
        self._hidden.append(Secret(new))
        if new not in self._all:
            self._all.append(new)

    def became(self, new: str) -> None:
        """`new` is the password; the others are spare."""
        self._hidden.append(Secret(new))
        self._all = [new, *(password for password in self._all if password != new)]
        self.works = self._refused = 0

    def stays(self, new: str) -> None:
        """The server did not take `new`."""
        if new != self.current:
            current = self.current
            self._all.remove(new)
            self.works = self._all.index(current)
