"""The classics, exact and trainable, and anybody's weights in them."""
