"""What runs in .venv-peers and .venv-detectors. Of Striate it uses what needs nothing installed: worker and cores."""
