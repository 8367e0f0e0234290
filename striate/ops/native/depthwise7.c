/* Depthwise windows of 7x7. */
#define K 7
#include "depthwise_window.h"
