"""Training: stages, the loop, checkpoints, the run folder.

Yields events and prints nothing; whoever called decides what a person sees.
Offers: train, Result, events (`striate.training.events`), recipes resolved for data (`striate.training.setting`).
"""
