"""Toy tasks that no file of the product knows: what it takes to add one, as files and rows, and the roads they go."""
