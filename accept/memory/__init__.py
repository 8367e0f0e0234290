"""What training keeps: with checkpointing as torch alone, without no more than it ever did, in traces the same."""
