"""Where `amon` begins. The script is wherever amon is; the console's libraries only where somebody wanted them."""

import sys
from importlib.util import find_spec

_NEEDED = ("click", "rich", "prompt_toolkit")


def main() -> None:
    """The console; where an agent alone was installed, what to install."""
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        sys.exit(f"amon: the console needs {' and '.join(missing)}; next: pip install 'amon[console]'")
    from admin_console.cli.main import main as console

    console()
