"""Super-resolution: larger pictures, more like the photographs than by interpolation."""
