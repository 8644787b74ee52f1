/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_ROLLED_H
#define GXNOR_ROLLED_H

/* Before a loop: clang leaves it as it is. It would unroll loops of constant length, which
   takes flash and saves little where it stands. */
#ifdef __clang__
#define GXNOR_ROLLED _Pragma("clang loop unroll(disable)")
#else
#define GXNOR_ROLLED
#endif

#endif
