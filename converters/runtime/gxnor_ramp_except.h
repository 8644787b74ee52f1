/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_RAMP_EXCEPT_H
#define GXNOR_RAMP_EXCEPT_H

#include <stdint.h>

#include "gxnor_ramp.h"
#include "gxnor_shared.h"

/* Takes one off the code of lane `lane` if 256 * channel + code is in the list, which ascends.
   first: 256 times the channel of lane 0. code: r->code_bits planes. */
static void gxnor_ramp_except(const gxnor_ramp *r, const uint32_t *exceptions, uint32_t first,
                              int32_t lane, uint32_t *code)
{
    uint32_t key = first + 256u * (uint32_t)lane, borrow = (uint32_t)1 << lane;
    int32_t b, k;

    GXNOR_ROLLED
    for (b = 0; b < r->code_bits; b++) {
        key += ((code[b] >> lane) & 1u) << b;
    }
    k = 0;
    GXNOR_ROLLED
    while (k < r->exceptions && exceptions[k] < key) {
        k++;
    }
    if (k == r->exceptions || exceptions[k] != key) {
        return;
    }
    GXNOR_ROLLED
    for (b = 0; b < r->code_bits; b++) {
        code[b] ^= borrow;
        borrow &= code[b];
    }
}

#endif
