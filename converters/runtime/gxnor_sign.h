/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_SIGN_H
#define GXNOR_SIGN_H

#include <stdint.h>

#include "gxnor_rom.h"
#include "gxnor_shared.h"

/* Negates the channels whose bit is set in `mask`, as ~x + 1. mask: `words` words.
   planes: enough for every result, -(-2) needs 3; more of in_planes are left out. No overlap. */
static void gxnor_sign(const uint32_t *in, int32_t in_planes, const uint32_t GXNOR_ROM *mask,
                       uint32_t *out, int32_t planes, int32_t words, int32_t pixels)
{
    int32_t p, k, b;

    GXNOR_ROLLED
    for (p = 0; p < pixels; p++) {
        GXNOR_ROLLED
        for (k = 0; k < words; k++) {
            const uint32_t flip = mask[k];
            uint32_t carry = flip, term = 0;
            GXNOR_ROLLED
            for (b = 0; b < planes; b++) {
                if (b < in_planes) {
                    term = *in++ ^ flip;
                }
                *out++ = term ^ carry;
                carry &= term;
            }
            in += in_planes > planes ? in_planes - planes : 0;
        }
    }
}

#endif
