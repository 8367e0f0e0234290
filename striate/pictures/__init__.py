"""Pictures: from a file's bytes to the upright pixels that a network gets, and back to the photograph's coordinates.

Knows nothing of data sets, networks or tasks. Offers the modules channels (grey, RGB, N bands), decode (any picture
file to uint8), geometry (the steps that moved the pixels, with their undo), tiles (a large photograph in parts),
resampling (one picture to another size), preprocess (what a set of weights wants).
"""
