"""What training keeps: with checkpointing as torch alone, by blocks half of its peak; without as ever; traces agree."""
