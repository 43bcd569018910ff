"""Why the system refuses a socket, and what to do about it: capabilities(7), seccomp(2), user_namespaces(7)."""

import errno
from pathlib import Path

CAPABILITIES = {"CAP_NET_ADMIN": 12, "CAP_NET_RAW": 13, "CAP_BPF": 39}


def refusal(what: str, error: OSError, capability: str = "", status: Path = Path("/proc/self/status")) -> str:
    """For people: what was refused, why as far as it can be known, and the next step."""
    held, filtered = _rights(status)
    said = f"{what}: {error.strerror or error}"
    if error.errno in (errno.EPERM, errno.EACCES):
        if capability and not held >> CAPABILITIES[capability] & 1:
            return f"{what}: no right: needs {capability} (AmbientCapabilities= in the unit, or setcap)"
        if filtered:
            return (
                f"{what}: refused although {capability or 'the right'} is there: by a seccomp filter "
                f"(SystemCallFilter= or RestrictAddressFamilies= of the unit, a container's profile)"
            )
        return f"{said}, although the right is there: a security module, or a network namespace that is not ours"
    if error.errno in (errno.EAFNOSUPPORT, errno.ENOSYS, errno.EPROTONOSUPPORT):
        if filtered:
            return f"{said}: this kernel lacks it, or a seccomp filter hides it (RestrictAddressFamilies= in the unit)"
        return f"{said}: this kernel lacks it"
    return said


def _rights(status: Path) -> tuple[int, bool]:
    """Effective capabilities as a bit set, and whether a seccomp filter is in force (proc(5)).

    No right and no filter where that cannot be read: an engine may have given up opening files.
    """
    held, filtered = 0, False
    try:
        lines = status.read_text().splitlines()
    except OSError:
        return 0, False
    for line in lines:
        name, _, value = line.partition(":")
        if name == "CapEff":
            held = int(value, 16)
        elif name == "Seccomp":
            filtered = value.strip() == "2"
    return held, filtered
