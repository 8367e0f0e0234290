"""What training keeps: with checkpointing as torch alone, without no more than it ever did, in traces the same.

By blocks that our own training computes again its peak is half of torch's."""
