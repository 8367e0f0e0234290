/* Depthwise windows of 3x3. */
#define K 3
#include "depthwise_window.h"
