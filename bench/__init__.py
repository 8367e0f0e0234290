"""Speed against peers: each benchmark alternates its contenders in one run, since processors differ and drift.

Quote the ratios, and say which processor.
"""
