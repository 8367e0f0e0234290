"""What runs in .venv-peers. Of Striate it uses `striate.benchmarking.worker` alone, which needs nothing installed."""
