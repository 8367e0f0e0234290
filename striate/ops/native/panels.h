/* Channels in vectors, and a few vectors together in a panel. */
#ifndef PANELS_H
#define PANELS_H
#include "vectors.h"

#define ACROSS 3 /* vectors of the widest panel */

INLINE int64_t blocks(int64_t channels) { return (channels + LANES - 1) / LANES; }

/* Vectors of the next panel, if so many are left: one alone only if there is but one. */
INLINE int across_of(int64_t left) { return left == 4 || left == 2 ? 2 : (int)least(left, ACROSS); }

#endif
