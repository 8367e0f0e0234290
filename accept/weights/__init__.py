"""Issue 14: the classics, exact and trainable, and anybody's weights in them."""
