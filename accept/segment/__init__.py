"""Every pixel: networks that bring the resolution back, masks from files to answers, and what they are measured by."""
