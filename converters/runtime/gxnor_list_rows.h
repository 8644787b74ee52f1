/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_LIST_ROWS_H
#define GXNOR_LIST_ROWS_H

#include "gxnor_list_word.h"
#include "gxnor_lists.h"

/* Lists the rows of the bits set in `plus` and in `minus`; those of places that do not exist are 0.
   row: that of bit 0 in its column. */
static void gxnor_list_rows(gxnor_lists *lists, uint32_t plus, uint32_t minus, uint32_t row)
{
    gxnor_list *list = lists->at;
#if GXNOR_PLACES > 1
    for (; row >= lists->run; row -= lists->run) {
        list++;
    }
    /* From here on `row` may be less than 0, modulo 2^32: bits that went before are not set. */
    while (lists->run - row < 32) {
        const uint32_t here = ((uint32_t)1 << (lists->run - row)) - 1u;
        gxnor_list_word(list, plus & here, minus & here, lists->first + GXNOR_LIST_STEP * row);
        plus &= ~here;
        minus &= ~here;
        if (!(plus | minus)) {
            return;
        }
        row -= lists->run;
        list++;
    }
#endif
    gxnor_list_word(list, plus, minus, lists->first + GXNOR_LIST_STEP * row);
}

#endif
