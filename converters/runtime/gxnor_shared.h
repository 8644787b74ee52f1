/* SPDX-License-Identifier: 0BSD */
#ifndef GXNOR_SHARED_H
#define GXNOR_SHARED_H

/* GXNOR_SHARED: a function that several layers call, or one whose call costs little beside what
   it does, is compiled once. GXNOR_ROLLED: before a short loop that Clang would unroll, which
   takes flash and saves little where it stands. */
#ifdef __GNUC__
#define GXNOR_SHARED __attribute__((noinline)) static
#else
#define GXNOR_SHARED static
#endif
#ifdef __clang__
#define GXNOR_ROLLED _Pragma("clang loop unroll(disable)")
#else
#define GXNOR_ROLLED
#endif

#endif
