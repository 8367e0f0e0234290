"""How fast Striate is on this machine, beside plain and tuned torch: `striate bench`, and what `make bench` builds on.

Each contender is a process of its own that is told when to compute, so that contenders alternate and only one works at
any time. Imports nothing heavy itself: peers in other environments use `worker` too.
Offers `worker` (the process's side), `process` (ours), `driver` (who has a turn), `networks`, `workloads`, `suite` and
`machine`.
"""
