/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_DIGEST_BYTES_H
#define GXNOR_DIGEST_BYTES_H

#include <stdint.h>

#include "gxnor_shared.h"

/* gxnor_digest_u8 of bytes in RAM. */
GXNOR_SHARED uint32_t gxnor_digest_bytes(uint32_t digest, const uint8_t *x, int32_t size)
{
    int32_t i;

    GXNOR_ROLLED
    for (i = 0; i < size; i++) {
        digest = (digest ^ x[i]) * 16777619u;
    }
    return digest;
}

#endif
