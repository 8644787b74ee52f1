/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_RAMP_MEND_H
#define GXNOR_RAMP_MEND_H

#include <stdint.h>

#include "gxnor_lowest_bit.h"
#include "gxnor_ramp.h"
#include "gxnor_ramp_except.h"
#include "gxnor_shared.h"

/* Looks for exceptions in the lanes whose sum only just has its code: those whose remainder is
   less than 2^fraction. rest: the last remainder, less the slope where bit 0 of the code is 0. */
static void gxnor_ramp_mend(const gxnor_ramp *r, const uint32_t *rest, const uint32_t *slope,
                            const uint32_t *exceptions, uint32_t first, uint32_t *code)
{
    uint32_t carry = 0, more = 0;
    int32_t b;

    GXNOR_ROLLED
    for (b = 0; b < r->rest_bits; b++) {
        const uint32_t term = b < r->slope_bits ? slope[b] & ~code[0] : 0;
        const uint32_t odd = rest[b] ^ term;
        more |= b < r->fraction ? 0 : odd ^ carry;
        carry = (rest[b] & term) | (carry & odd);
    }
    GXNOR_ROLLED
    for (more = ~more; more; more &= more - 1u) {
        gxnor_ramp_except(r, exceptions, first, (int32_t)gxnor_lowest_bit(more), code);
    }
}

#endif
