/* Depthwise windows of 5x5. */
#define K 5
#include "depthwise_window.h"
