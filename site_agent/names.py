"""Who owns the import names of amon: pip lets two distributions write into one folder without a word.

`modules` is a name that others may choose too. An editable install lists no files; then the folder the name leads to
tells.
"""

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from site_agent.findings import Finding, Group

NAMES = ("amon", "modules", "site_agent", "admin_console")
OURS = "amon"


def folder_of(name: str) -> Path | None:
    """Where a package of this name would be imported from; None if it would not, or from several places."""
    spec = find_spec(name)
    return Path(spec.origin).parent if spec is not None and spec.origin else None


def _owners() -> Mapping[str, Sequence[str]]:
    from importlib.metadata import packages_distributions  # `check` asks; an agent must not pay for it

    return packages_distributions()


def name_findings(
    owners: Callable[[], Mapping[str, Sequence[str]]] = _owners,
    folder: Callable[[str], Path | None] = folder_of,
) -> list[Finding]:
    """One for each name that is not (only) ours."""
    known = owners()
    found = []
    for name in NAMES:
        others = sorted(set(known.get(name, ())) - {OURS})
        if others:
            text = f"belongs to {OURS} and to {' and '.join(others)}; next: pip uninstall {' '.join(others)}, then "
            found.append(Finding(name, f"{text}pip install --force-reinstall --no-deps {OURS}", Group.names))
    told = {one.path for one in found}
    return found + [one for one in foreign_names(folder) if one.path not in told]


def foreign_names(folder: Callable[[str], Path | None] = folder_of) -> list[Finding]:
    """Names that lead elsewhere than ours do. Quick: a start asks this, and `check` all that is installed."""
    ours = folder(OURS)
    found = []
    for name in NAMES:
        place = folder(name)
        if ours is None or place is None or place.parent != ours.parent:
            text = f"is taken from {place or 'nowhere'}, but {OURS} is in {ours}; next: run amon-agent in an "
            found.append(Finding(name, f"{text}environment of its own, with PYTHONSAFEPATH=1", Group.names))
    return found
