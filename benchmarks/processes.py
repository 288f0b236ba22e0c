"""What the kernel says of processes, and where they run."""

import os
import time

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


def stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat from the state on: field n of the manual stands at n - 3."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def cpu_seconds(pid: int) -> float:
    fields = stat(pid)
    if fields is None:
        raise SystemExit(f"bench: process {pid} ended during the measurement")
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident_bytes(pid: int) -> int:
    fields = stat(pid)
    return 0 if fields is None else int(fields[21]) * PAGE


def name(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm") as file:
            return file.read().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def all_pids() -> list[int]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]


def children(pid: int) -> list[int]:
    return [other for other in all_pids() if (fields := stat(other)) and int(fields[1]) == pid]


def postmasters() -> set[int]:
    """PostgreSQL servers, without their own children."""
    servers = {pid for pid in all_pids() if name(pid) == "postgres"}
    return {pid for pid in servers if (fields := stat(pid)) and int(fields[1]) not in servers}


def pin(pid: int, core: int) -> None:
    """Puts every thread of a process on one core."""
    for thread in os.listdir(f"/proc/{pid}/task"):
        try:
            os.sched_setaffinity(int(thread), {core})
        except ProcessLookupError:
            pass


def wait_until_idle(pids: list[int], seconds_max: float = 120) -> None:
    """Returns when these processes have spent less than a thirtieth of a core for a second. They may end meanwhile, as
    PostgreSQL's workers do."""
    deadline = time.monotonic() + seconds_max
    before = {pid: cpu_seconds(pid) for pid in pids if stat(pid)}
    while time.monotonic() < deadline:
        time.sleep(1)
        now = {pid: cpu_seconds(pid) for pid in before if stat(pid)}
        if sum(now[pid] - before[pid] for pid in now) < 1 / 30:
            return
        before = now
    raise SystemExit(f"bench: still busy after {seconds_max:.0f} s of rest: {[name(pid) for pid in pids]}")
