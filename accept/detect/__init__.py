"""Where is it: boxes from files to answers, detectors and what they are measured by."""
