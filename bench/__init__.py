"""Speed against peers: each benchmark alternates its contenders in one run, since processors differ and drift.

`python -m bench` (make bench) runs the sections of `bench.__main__`, prints their tables, and writes
`bench/results/*.json`, `docs/benchmarks.md` and its picture. Quote the ratios, and say which processor. What a step is,
and who tells whom when to compute, stands in `striate.benchmarking`; `bench/peers` runs in environments of its own.
"""
