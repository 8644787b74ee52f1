/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_RUN_H
#define GXNOR_RUN_H

#include <stdint.h>

/* How many channels of a pixel, from channel `from` on, lie in the same word. */
static int32_t gxnor_run(int32_t from, int32_t channels)
{
    const int32_t word = 32 - (from & 31), pixel = channels - from;

    return word < pixel ? word : pixel;
}

#endif
