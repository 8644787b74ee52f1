/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_ADD_ROWS_H
#define GXNOR_ADD_ROWS_H

#include "gxnor_add_carries.h"
#include "gxnor_add_four.h"
#include "gxnor_entries.h"

/* Adds w + 1 of the rows of a slice to the counters, or with `flip` all ones subtracts it: the
   heart of all hidden layers. rows: the address that entries count from. at: see gxnor_add_row.

   Eight rows become one carry of weight 16 by a tree of full adders on the planes of weight 1, 2,
   4 and 8. To subtract M of the number L in these four planes, M is added to the complement:
   15 - L + M = 16 carry + (15 - L'), so L - M = L' - 16 carry = L' + 16 (complement of carry) - 16.
   That last 16, a batch, is the same in all lanes, and the caller's to take off. */
GXNOR_INLINE void gxnor_add_rows(gxnor_counters *c, const gxnor_entries *entries, uintptr_t rows,
                                 gxnor_lanes flip, int32_t at)
{
    const gxnor_entry *list = entries->list, *last = entries->last;
    int32_t batches = entries->batches;
    gxnor_lanes ones = c->plane[0] ^ flip, twos = c->plane[1] ^ flip;
    gxnor_lanes fours = c->plane[2] ^ flip, eights = c->plane[3] ^ flip;

    for (;;) {
        const int32_t room = 16 - c->carries, count = batches < room ? batches : room;
        gxnor_lanes *carry = c->carry + c->carries;
        const gxnor_lanes *end = carry + count;
        while (carry < end) {
            const gxnor_lanes a = gxnor_add_four(&ones, &twos, &fours, list, rows, at);
            const gxnor_lanes b = gxnor_add_four(&ones, &twos, &fours, list + 4, rows, at);
            list += 8;
            *carry++ = gxnor_full_add(&eights, a, b) ^ flip;
        }
        c->carries += count;
        batches -= count;
        if (c->carries == 16) {
            gxnor_add_carries(c);
        }
        if (batches == 0) {
            if (!last) {
                break;
            }
            list = last;
            last = 0;
            batches = 1;
        }
    }
    c->plane[0] = ones ^ flip;
    c->plane[1] = twos ^ flip;
    c->plane[2] = fours ^ flip;
    c->plane[3] = eights ^ flip;
}

#endif
