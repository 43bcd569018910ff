"""What is known of a call whose agent died in it: when it began, how far it was, who asked. Nobody will know more."""

from datetime import UTC, datetime

from amon.store import Record


def words_of(record: Record) -> str:
    """For the asker. Times are those of this site's clock."""
    parts = [f"interrupted: the agent ended while it did this; begun {_when(record.accepted)} for {record.asker}"]
    if record.note is not None and record.noted is not None:
        parts.append(f"last progress {_when(record.noted)}: {record.note}")
    else:
        parts.append("how far it came is not known")
    return "; ".join((*parts, "look at the site"))


def _when(at: float) -> str:
    try:
        return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%SZ}"
    except (ValueError, OverflowError, OSError):  # a clock that was far off
        return f"at {at:.0f} s"
