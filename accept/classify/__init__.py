"""From a folder of photographs to a model that answers."""
