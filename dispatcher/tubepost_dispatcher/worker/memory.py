"""How much memory this process takes of what the pod may use."""

from __future__ import annotations

import resource


def exceeds(limit: int) -> bool:
    """Whether this process takes more than so many bytes; 0: there is no limit.

    Pages that are shared with other workers, the supervisor and the zygote count in parts, as a container's
    limit counts them once: a worker that has just been forked has most of its memory in common with them.
    To look costs as many milliseconds as there are 150 MiB, so it is done only where resident memory, which
    counts shared pages wholly, does not tell already.
    """
    return bool(limit) and resident_bytes() > limit and proportional_bytes() > limit


def resident_bytes() -> int:
    """Resident memory in bytes (Linux; elsewhere its peak)."""
    try:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - once a second, a plain read
            return int(file.read().split()[1]) * resource.getpagesize()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def proportional_bytes() -> int:
    """The same, each shared page divided among those who share it (`Pss`, proc(5)), where this is told."""
    try:
        with open("/proc/self/smaps_rollup", "rb") as file:  # noqa: PTH123 - a plain read
            for line in file:
                if line.startswith(b"Pss:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass  # an older kernel, or a sandbox
    return resident_bytes()
