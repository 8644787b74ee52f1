/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_TABLES_AFTER_H
#define GXNOR_TABLES_AFTER_H

#include <stdint.h>

#include "gxnor_window.h"

/* The pixel after `place`, which is (y, x). */
static void gxnor_tables_after(const gxnor_window *w, const int32_t *place, int32_t *next)
{
    const int32_t ends = place[1] + 1 == w->out_width;

    next[0] = place[0] + ends;
    next[1] = ends ? 0 : place[1] + 1;
}

#endif
