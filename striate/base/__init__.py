"""The ground: errors, did-you-mean, atomic files, hardware, folders, seeds.

Knows nothing of pictures or networks; every other room may use it. Only `seeds` needs numpy, so nothing is
imported here. Offers the modules errors, nearest, atomic, hardware, folders, heap, seeds, and the room compiling.
"""
