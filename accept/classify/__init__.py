"""Issue 12: from a folder of photographs to a model that answers."""
