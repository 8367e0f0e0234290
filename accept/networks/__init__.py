"""Issue 13: every convolution and pooling, SAME and VALID meaning one thing."""
