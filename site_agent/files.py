"""Files that only the right people may read or change: opened once, judged by what was opened. Source: inode(7).

Who can change a configuration decides who may command this site; who can read a password is this site.
"""

import os
import stat
from pathlib import Path

from amon.files import mode_fault, read_file, user, why

__all__ = ["directory_fault", "mode_fault", "read_file", "user"]


def directory_fault(path: Path, uid: int) -> str:
    """Why the agent could not keep its files in this directory, which it may have to make; empty if it can."""
    try:
        found = path.stat()
    except FileNotFoundError:
        above = next(parent for parent in path.parents if parent.exists())
        if above.is_dir() and os.access(above, os.W_OK | os.X_OK):
            return ""
        return f"{path} does not exist and cannot be made; next: install -d -m 700 -o {user(uid)} {path}"
    except OSError as error:
        return why(error, path)
    if not stat.S_ISDIR(found.st_mode):
        return f"{path} is not a directory"
    if found.st_uid not in (0, uid) or found.st_mode & 0o022:
        return mode_fault(path, found, uid, private=False)
    if not os.access(path, os.W_OK | os.X_OK):
        return f"{path} cannot be written by {user(uid)}; next: chown {user(uid)} {path}"
    return ""
