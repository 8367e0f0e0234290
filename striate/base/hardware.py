"""What this process may use of the machine: cores, memory, and what the processor is good at.

A container is often given less than the machine has, so the limits of control groups (versions 1 and 2, at every level
of the tree) count. The roots of ``/proc`` and ``/sys/fs/cgroup`` are arguments so that tests can build their own.
"""

import math
import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_CGROUP = Path("/sys/fs/cgroup")
_CPUS = Path("/sys/devices/system/cpu")
_UNKNOWN_MEMORY = 4 << 30  # what we assume where the system tells nothing: a small laptop


AMX = "amx_bf16"
BFLOAT16 = frozenset({"avx512_bf16", AMX, "bf16"})
"""The kernel's words for instructions that multiply bfloat16; AMX is Intel's matrix tiles."""


@dataclass(frozen=True, slots=True)
class Processor:
    """The processor as far as it matters here.

    ``cores`` is what this process may use. ``bfloat16`` says that it multiplies bfloat16 natively (AVX512-BF16, AMX or
    ARM's BF16), ``amx`` that it has Intel's matrix tiles for it.
    """

    name: str
    cores: int
    bfloat16: bool
    amx: bool


def cores(*, proc: Path = _PROC, cgroup: Path = _CGROUP) -> int:
    """Return how many cores this process may keep busy, at least 1.

    The smaller of the scheduler's affinity and the tightest quota of its control groups. A quota of 1.5 counts as 2:
    one thread would leave a third of it unused.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [_quota(folder) for folder in _groups("cpu", proc, cgroup)]
    return max(1, min([affinity, *(math.ceil(quota) for quota in quotas if quota is not None)]))


def physical_cores(*, cpus: Path = _CPUS) -> int:
    """Return how many physical cores the scheduler gives this process: two threads of one core count once.

    Where the system does not tell, all count.
    """
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    return len({_read(cpus / f"cpu{cpu}" / "topology" / "thread_siblings_list").strip() or str(cpu) for cpu in allowed})


def processor(*, proc: Path = _PROC, cgroup: Path = _CGROUP) -> Processor:
    """Describe the processor, from ``/proc/cpuinfo`` where there is one; elsewhere the flags are False."""
    fields = _first_core(proc)
    flags = instructions(proc=proc)
    return Processor(
        name=fields.get("model name") or platform.processor() or platform.machine() or "unknown processor",
        cores=cores(proc=proc, cgroup=cgroup),
        bfloat16=not flags.isdisjoint(BFLOAT16),
        amx=AMX in flags,
    )


def instructions(*, proc: Path = _PROC) -> frozenset[str]:
    """The instruction sets of the processor, in the words of ``/proc/cpuinfo``; none where there is no such file."""
    for line in _read(proc / "cpuinfo").splitlines():
        name, _, value = line.partition(":")
        if name.strip().lower() in ("flags", "features"):
            return frozenset(value.split())
    return frozenset()


def _first_core(proc: Path) -> dict[str, str]:
    """What ``/proc/cpuinfo`` says of the first core, which speaks for all."""
    fields: dict[str, str] = {}
    for line in _read(proc / "cpuinfo").splitlines():
        name, _, value = line.partition(":")
        fields.setdefault(name.strip().lower(), value.strip())
    return fields


@dataclass(frozen=True, slots=True)
class FreeMemory:
    """Bytes that this process can still take without swapping, being killed or refused, and whose limit that is."""

    bytes: int
    limit: str


def free_memory(*, proc: Path = _PROC, cgroup: Path = _CGROUP) -> FreeMemory:
    """What this process can still take, and who limits it.

    The smallest of the kernel's ``MemAvailable``, what each control group leaves, and what this process's own limits
    (``ulimit -d`` and ``-v``) leave beside what it has mapped already. Systems without ``/proc`` are taken to have half
    of their physical memory free, or 4 GiB where even that is not told.
    """
    found = [FreeMemory(_machine_memory(proc), "the machine")]
    for folder in _groups("memory", proc, cgroup):
        left = (_memory_left(folder, *names) for names in _MEMORY_FILES)
        found += [FreeMemory(each, f"the control group {folder}") for each in left if each is not None]
    least = min([*found, *_own_limits(proc)], key=lambda free: free.bytes)
    return FreeMemory(max(0, least.bytes), least.limit)


def available_memory(*, proc: Path = _PROC, cgroup: Path = _CGROUP) -> int:
    """Return the bytes that this process can still take; see `free_memory`."""
    return free_memory(proc=proc, cgroup=cgroup).bytes


# a limit, its line in /proc/self/status for what counts, and what people call it
_OWN_LIMITS = (("RLIMIT_DATA", "VmData:", "ulimit -d"), ("RLIMIT_AS", "VmSize:", "ulimit -v"))


def _own_limits(proc: Path) -> Iterator[FreeMemory]:
    """What the limits of this process alone leave; mapped memory counts there, whether it was ever touched or not."""
    try:
        import resource
    except ImportError:  # Windows has no such limits
        return
    lines = dict(line.split(None, 1) for line in _read(proc / "self" / "status").splitlines() if line.startswith("Vm"))
    for name, used, called in _OWN_LIMITS:
        limit, _ = resource.getrlimit(getattr(resource, name))
        if limit != resource.RLIM_INFINITY and used in lines:
            yield FreeMemory(limit - int(lines[used].split()[0]) * 1024, f"this process's own limit ({called})")


# limit, usage, and the line of memory.stat that counts file cache which the kernel drops on demand
_MEMORY_FILES = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


def _groups(controller: str, proc: Path, cgroup: Path) -> Iterator[Path]:
    """Folders of the control groups that bind this process for ``controller``, from its own up to the root.

    Inside a container the path in ``/proc/self/cgroup`` may be the host's and not exist here; the mount's root, where
    the walk ends, is then the container's own group.
    """
    for line in _read(proc / "self" / "cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers == "":  # version 2; mounted a level lower where both versions live side by side
            mounts = [cgroup, cgroup / "unified"]
        elif controller in controllers.split(","):
            mounts = [cgroup / controllers, cgroup / controller]
        else:
            continue
        parts = [part for part in path.split("/") if part not in ("", "..")]
        for mount in mounts:
            for depth in range(len(parts), -1, -1):
                folder = mount.joinpath(*parts[:depth])
                if folder.is_dir():
                    yield folder


def _quota(folder: Path) -> float | None:
    """Cores that one control group allows, or None for no limit."""
    words = _read(folder / "cpu.max").split()
    if not words:
        words = [_read(folder / "cpu.cfs_quota_us").strip(), _read(folder / "cpu.cfs_period_us").strip()]
    if len(words) != 2 or not all(word.isdecimal() for word in words):  # "max" and -1 mean no limit
        return None
    quota, period = map(int, words)
    return quota / period if quota > 0 and period > 0 else None


def _memory_left(folder: Path, limit_file: str, usage_file: str, droppable: str) -> int | None:
    """Bytes that one control group leaves, or None for no limit."""
    limit, usage = _read(folder / limit_file).strip(), _read(folder / usage_file).strip()
    if not (limit.isdecimal() and usage.isdecimal()):
        return None
    cached = 0
    for line in _read(folder / "memory.stat").splitlines():
        if line.startswith(f"{droppable} "):
            cached = int(line.split()[1])
    return int(limit) - max(0, int(usage) - cached)


def _machine_memory(proc: Path) -> int:
    for line in _read(proc / "meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024  # the kernel says kB and means KiB
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, ValueError, OSError):
        return _UNKNOWN_MEMORY


def _read(path: Path) -> str:
    """The text of a small file, or nothing if it is not there or not for us."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
