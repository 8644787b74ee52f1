/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_LANE_H
#define GXNOR_LANE_H

#include "gxnor_lanes.h"

/* The bit of lane i. */
GXNOR_INLINE uint32_t gxnor_lane(gxnor_lanes x, int32_t i)
{
#if GXNOR_LANES > 32
    return (x[i >> 5] >> (i & 31)) & 1u;
#else
    return (uint32_t)(x >> i) & 1u;
#endif
}

#endif
