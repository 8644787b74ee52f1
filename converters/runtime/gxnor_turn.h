/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_TURN_H
#define GXNOR_TURN_H

#include <stdint.h>

#include "gxnor_shared.h"

/* Turns a square of 8 x 8 bits: row k is byte k of low (k < 4) or byte k - 4 of high. */
GXNOR_SHARED void gxnor_turn(uint32_t *low, uint32_t *high)
{
    uint32_t a = *low, b = *high, swap;

    swap = (a ^ a >> 7) & 0x00aa00aau;
    a ^= swap ^ swap << 7;
    swap = (b ^ b >> 7) & 0x00aa00aau;
    b ^= swap ^ swap << 7;
    swap = (a ^ a >> 14) & 0x0000ccccu;
    a ^= swap ^ swap << 14;
    swap = (b ^ b >> 14) & 0x0000ccccu;
    b ^= swap ^ swap << 14;
    swap = (a >> 4 ^ b) & 0x0f0f0f0fu;
    *high = b ^ swap;
    *low = a ^ swap << 4;
}

#endif
