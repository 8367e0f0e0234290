"""Boxes: where things are."""
