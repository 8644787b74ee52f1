/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_DIGEST_ROM_H
#define GXNOR_DIGEST_ROM_H

#include <stdint.h>

#include "gxnor_rom.h"
#include "gxnor_shared.h"

/* As gxnor_digest, of the words of a table. */
GXNOR_SHARED uint32_t gxnor_digest_rom(uint32_t digest, const uint32_t GXNOR_ROM *x, int32_t size)
{
    int32_t i;

    GXNOR_ROLLED
    for (i = 0; i < size; i++) {
        digest = (digest ^ x[i]) * 16777619u;
    }
    return digest;
}

#endif
