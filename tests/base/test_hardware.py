import os

import pytest

from striate.base.hardware import FreeMemory, available_memory, cores, free_memory, processor

GIB = 1 << 30


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A function that writes a false /proc and /sys/fs/cgroup and returns them as arguments; 16 cores by affinity."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)

    def write(files):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return {"proc": tmp_path / "proc", "cgroup": tmp_path / "cgroup"}

    return write


def test_without_any_group_affinity_decides(machine):
    assert cores(**machine({})) == 16


@pytest.mark.parametrize(
    ("quota", "expected"),
    [("400000 100000", 4), ("150000 100000", 2), ("10000 100000", 1), ("max 100000", 16), ("6400000 100000", 16)],
)
def test_version_2_quota(machine, quota, expected):
    files = {"proc/self/cgroup": "0::/job\n", "cgroup/job/cpu.max": quota + "\n"}
    assert cores(**machine(files)) == expected


def test_version_2_tightest_level_of_the_tree_counts(machine):
    files = {
        "proc/self/cgroup": "0::/kube/pod/container\n",
        "cgroup/kube/pod/container/cpu.max": "max 100000\n",
        "cgroup/kube/pod/cpu.max": "300000 100000\n",
        "cgroup/kube/cpu.max": "800000 100000\n",
    }
    assert cores(**machine(files)) == 3


def test_version_2_inside_a_container_whose_path_is_the_hosts(machine):
    files = {"proc/self/cgroup": "0::/docker/abc\n", "cgroup/cpu.max": "200000 100000\n"}
    assert cores(**machine(files)) == 2
    files = {"proc/self/cgroup": "0::/../../abc\n", "cgroup/cpu.max": "500000 100000\n"}
    assert cores(**machine(files)) == 5


@pytest.mark.parametrize("mount", ["cpu,cpuacct", "cpu"])
def test_version_1_quota(machine, mount):
    files = {
        "proc/self/cgroup": "9:memory:/job\n4:cpu,cpuacct:/job\n",
        f"cgroup/{mount}/job/cpu.cfs_quota_us": "250000\n",
        f"cgroup/{mount}/job/cpu.cfs_period_us": "100000\n",
        f"cgroup/{mount}/cpu.cfs_quota_us": "-1\n",
        f"cgroup/{mount}/cpu.cfs_period_us": "100000\n",
    }
    assert cores(**machine(files)) == 3


@pytest.mark.parametrize(
    ("text", "name", "bfloat16", "amx"),
    [
        ("model name\t: Xeon\nflags\t\t: fpu avx512_bf16 amx_bf16 amx_tile\n\nmodel name\t: other", "Xeon", True, True),
        ("model name\t: EPYC\nflags\t\t: fpu avx512_bf16\n", "EPYC", True, False),
        ("model name\t: old\nflags\t\t: fpu avx2 notbf16\n", "old", False, False),
        ("processor\t: 0\nFeatures\t: fp asimd bf16\n", None, True, False),
    ],
)
def test_processor(machine, text, name, bfloat16, amx):
    found = processor(**machine({"proc/cpuinfo": text}))
    assert (found.bfloat16, found.amx, found.cores) == (bfloat16, amx, 16)
    assert found.name and (name is None or found.name == name)


def test_memory_of_the_machine(machine):
    files = {"proc/meminfo": f"MemTotal: {64 << 20} kB\nMemFree: 1 kB\nMemAvailable: {8 << 20} kB\n"}
    assert available_memory(**machine(files)) == 8 * GIB


@pytest.mark.parametrize(
    ("group", "folder", "limit", "usage", "cached"),
    [
        ("0::/a/b\n", "cgroup/a", "memory.max", "memory.current", "inactive_file"),
        ("4:memory:/a/b\n", "cgroup/memory/a", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ],
)
def test_memory_left_by_the_group_above(machine, group, folder, limit, usage, cached):
    files = {
        "proc/meminfo": f"MemAvailable: {8 << 20} kB\n",
        "proc/self/cgroup": group,
        f"{folder}/{limit}": f"{4 * GIB}\n",
        f"{folder}/{usage}": f"{3 * GIB}\n",
        f"{folder}/memory.stat": f"{cached}_x 5\n{cached} {GIB}\n",
        f"{folder}/b/{limit}": "max\n",
    }
    assert available_memory(**machine(files)) == 2 * GIB  # file cache can be dropped, so it does not count as used


def test_memory_is_never_negative_and_never_unknown(machine):
    files = {"proc/self/cgroup": "0::/\n", "cgroup/memory.max": "10\n", "cgroup/memory.current": "20\n"}
    assert available_memory(**machine(files)) == 0
    assert available_memory(proc=machine({})["proc"] / "none") > 0


def test_this_machine():
    found = processor()
    assert 1 <= found.cores == cores() <= (os.cpu_count() or 1)
    assert available_memory() > 1 << 20


def test_who_limits_the_memory_is_said(machine, monkeypatch):
    resource = pytest.importorskip("resource")
    limits = {resource.RLIMIT_DATA: resource.RLIM_INFINITY, resource.RLIMIT_AS: resource.RLIM_INFINITY}
    monkeypatch.setattr(resource, "getrlimit", lambda which: (limits[which], resource.RLIM_INFINITY))
    files = {
        "proc/meminfo": "MemAvailable: 8388608 kB\n",
        "proc/self/status": "Name:\tpython\nVmSize:\t 3145728 kB\nVmData:\t 1048576 kB\n",
        "proc/self/cgroup": "0::/job\n",
    }
    where = machine(files)
    assert free_memory(**where) == FreeMemory(8 * GIB, "the machine")
    (where["cgroup"] / "job").mkdir(parents=True)
    (where["cgroup"] / "job" / "memory.max").write_text(str(6 * GIB))
    (where["cgroup"] / "job" / "memory.current").write_text(str(GIB))
    assert free_memory(**where) == FreeMemory(5 * GIB, f"the control group {where['cgroup'] / 'job'}")
    limits[resource.RLIMIT_DATA] = 4 * GIB
    assert free_memory(**where) == FreeMemory(3 * GIB, "this process's own limit (ulimit -d)")
    limits[resource.RLIMIT_AS] = 2 * GIB  # less than is mapped
    assert free_memory(**where) == FreeMemory(0, "this process's own limit (ulimit -v)")
    assert available_memory(**where) == 0
