/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_RAMP_CLIP_H
#define GXNOR_RAMP_CLIP_H

#include <stdint.h>

#include "gxnor_shared.h"

/* code = min(code, top) in 32 lanes of `bits` planes. */
static void gxnor_ramp_clip(uint32_t *code, int32_t bits, uint32_t top)
{
    uint32_t equal = UINT32_MAX, above = 0;
    int32_t b;

    GXNOR_ROLLED
    for (b = bits - 1; b >= 0; b--) {
        const uint32_t limit = 0u - ((top >> b) & 1u);
        above |= equal & code[b] & ~limit;
        equal &= ~(code[b] ^ limit);
    }
    GXNOR_ROLLED
    for (b = 0; b < bits; b++) {
        const uint32_t limit = 0u - ((top >> b) & 1u);
        code[b] = (code[b] & ~above) | (limit & above);
    }
}

#endif
