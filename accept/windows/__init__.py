"""Every convolution and pooling, SAME and VALID meaning one thing."""
