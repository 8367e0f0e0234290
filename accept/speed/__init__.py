"""Issue 15: as fast as the machine allows."""
