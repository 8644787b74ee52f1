/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_ALL_H
#define GXNOR_ALL_H

#include "gxnor_lanes.h"

/* All lanes 1 if `bit` is 1, all 0 if it is 0. */
GXNOR_INLINE gxnor_lanes gxnor_all(uint32_t bit)
{
#if GXNOR_LANES > 32
    const gxnor_lanes none = {0};
    return none - bit;
#else
    return (gxnor_lanes)((gxnor_lanes)0 - (gxnor_lanes)bit);
#endif
}

#endif
