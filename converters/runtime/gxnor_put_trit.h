/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_PUT_TRIT_H
#define GXNOR_PUT_TRIT_H

#include <stdint.h>

/* Ternary step of a sum, written to its channel of a packed pixel:
   +1 if sum >= threshold[1], -1 if sum < threshold[0], else 0.
   pixel: pairs {pos, neg} of 32 channels. The first channel of a pair clears it,
   so channels must come in order from 0. */
static void gxnor_put_trit(uint32_t *pixel, int32_t channel, int32_t sum, const int32_t *threshold)
{
    uint32_t *pair = pixel + 2 * (channel >> 5);
    const int32_t bit = channel & 31;
    const uint32_t pos = (uint32_t)(sum >= threshold[1]) << bit;
    const uint32_t neg = (uint32_t)(sum < threshold[0]) << bit;

    if (bit == 0) {
        pair[0] = pos;
        pair[1] = neg;
    } else {
        pair[0] |= pos;
        pair[1] |= neg;
    }
}

#endif
