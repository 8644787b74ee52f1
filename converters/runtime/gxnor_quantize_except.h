/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_QUANTIZE_EXCEPT_H
#define GXNOR_QUANTIZE_EXCEPT_H

#include <stdint.h>

#include "gxnor_rom.h"
#include "gxnor_shared.h"

/* 1 if `key`, which is 256 * channel + code, is among the `count` exceptions, which ascend. */
GXNOR_SHARED uint32_t gxnor_quantize_except(const uint32_t GXNOR_ROM *exceptions, int32_t count,
                                            uint32_t key)
{
    int32_t k = 0;

    GXNOR_ROLLED
    while (k < count && exceptions[k] < key) {
        k++;
    }
    return (uint32_t)(k < count && exceptions[k] == key);
}

#endif
