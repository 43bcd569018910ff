"""Commands by forms (XEP-0050) of an account: what is asked goes to its owner, and what he answers goes out."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element

from amon.errors import Failed
from amon.xmpp.inbox import Inbox

if TYPE_CHECKING:
    from amon.xmpp.commands import Asked, Reply


class Served(ABC):
    """Needs only to post."""

    _inbox: Inbox
    jid: str

    @abstractmethod
    def post(self, element: Element) -> bool: ...

    def serve(self, commanded: "Callable[[Asked], None]") -> None:
        """From now on requests about commands go to `commanded`, which must not wait; `answer` answers them.

        Who may see us is told that there are commands; who is not served anything hears what he did before.
        """
        self._inbox.commanded = commanded

    def answer(self, asked: "Asked", reply: "Reply") -> bool:
        """Whether the answer went out; one that is larger than servers take is answered with an error instead."""
        from amon.xmpp import commands

        try:
            return self.post(commands.answer(asked, reply, self.jid))
        except Failed as fault:
            return self.post(commands.answer(asked, commands.Fault("internal-server-error", str(fault)), self.jid))
