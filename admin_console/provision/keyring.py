"""The public keys of approved sites, in the form of OpenSSH's allowed_signers: whose signed answers are believed.

Source: ssh-keygen(1), ALLOWED SIGNERS. `ssh-keygen -Y verify -f FILE` reads it, too. Lines of others are left alone.
"""

from pathlib import Path

from amon.access.sshsig import RESULT, PublicKey
from amon.errors import Failed
from amon.files import write_whole


class SiteKeys:
    """The file. One line for a site: its address, what its key may sign, the key."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def put(self, jid: str, key: PublicKey) -> None:
        """This key is the site's, and no other."""
        line = f'{jid} namespaces="{RESULT}" {key.line} {jid.partition("@")[0]}'
        self._write([*self._others(jid), line])

    def remove(self, jid: str) -> bool:
        """The site has no key any more; whether it had one."""
        lines, others = self._lines(), self._others(jid)
        if len(others) == len(lines):
            return False
        self._write(others)
        return True

    def _others(self, jid: str) -> list[str]:
        return [line for line in self._lines() if line.split(maxsplit=1)[:1] != [jid]]

    def _lines(self) -> list[str]:
        try:
            return self.path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        except (OSError, UnicodeDecodeError) as error:
            raise Failed(f"the file of the sites' keys {self.path} cannot be read: {error}") from None

    def _write(self, lines: list[str]) -> None:
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_whole(self.path, "".join(f"{line}\n" for line in lines), 0o644)
        except (OSError, Failed) as failed:
            raise Failed(f"the file of the sites' keys: {failed}") from None
