"""Kernels on every machine: built once, however slow it is."""
