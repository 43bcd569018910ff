"""The site's own key: read for an account, made and shown by `amon-agent key`. It signs what calls came to.

Its public half is what a console compares, so it is shown wherever somebody could want to write it down.
"""

import os
import sys
from pathlib import Path

from amon.access.sshsig import SigningKey
from amon.errors import Failed
from site_agent.files import mode_fault, read_file
from site_agent.findings import Finding, Group

_MOST = 16 * 1024  # bytes


def site_key(file: Path | None, path: str, uid: int, found: list[Finding]) -> SigningKey | None:
    """The key in this file; None if none is wanted, or it is no good and `found` says why."""
    if file is None:
        return None
    try:
        if not file.is_absolute():
            raise Failed(f"{file} is relative; write the whole path")
        if not file.exists():
            raise Failed(f"{file} does not exist; next: amon-agent key --make {file}")
        fault = mode_fault(file, read_file(file, _MOST)[1], uid, private=True)
        if not fault:
            return SigningKey.load(file)
        found.append(Finding(path, fault, Group.mode))
    except Failed as error:
        found.append(Finding(path, str(error), Group.secret))
    return None


def show_key(file: Path, *, make: bool) -> int:
    """Prints the public line and the fingerprint; the exit code. What to do next goes to standard error."""
    try:
        key = SigningKey.generate(file, "amon site") if make else SigningKey.load(file)
    except Failed as error:
        print(f"amon-agent key: {error}", file=sys.stderr)
        return 1
    print(f"{key.public.line}\n{key.public.fingerprint}")
    if make:
        owner = f'chown it to whom the agent runs as, put key = "{file.absolute()}"' if os.geteuid() == 0 else ""
        step = owner or f'put key = "{file.absolute()}"'
        print(f"next: {step} below [account.NAME], and systemctl reload amon-agent", file=sys.stderr)
    return 0
