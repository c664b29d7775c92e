// SPDX-License-Identifier: GPL-2.0-or-later

#include "textflag.h"

// Two lanes with the SHA extensions (Intel 64 and IA-32 Architectures Software Developer's Manual,
// SHA1RNDS4, SHA1NEXTE, SHA1MSG1, SHA1MSG2). Four steps depend on the four before them, and one lane
// waits for each SHA1RNDS4 to end; the other one's fill the time.
//
// These instructions hold A in the highest dword, so words and chaining values are turned round as a
// whole. E travels alone, in a highest dword too; SHA1NEXTE rotates the A of four steps ago, which is
// the E of now, and adds it to the next four words.
//
//	X0  ABCD of lane 0    X7   of lane 1
//	X1  E, or the ABCD that the next E comes from; X2 likewise, in turn    X8, X9
//	X3-X6  words 0-3, 4-7, 8-11, 12-15 of the schedule    X10-X13
//	X14 the order of bytes, X15 scratch
//	SI, DI the lanes' blocks, R8, R9 their chaining values, CX blocks left
DATA reversed<>+0(SB)/8, $0x08090a0b0c0d0e0f
DATA reversed<>+8(SB)/8, $0x0001020304050607
GLOBL reversed<>(SB), RODATA|NOPTR, $16

#define LOAD(i, MA, MB) \
	MOVOU  (16*i)(SI), MA \
	MOVOU  (16*i)(DI), MB \
	PSHUFB X14, MA        \
	PSHUFB X14, MB

// FOUR does four steps: f selects their function and constant, E becomes sum of what SHA1NEXTE makes of
// it and the words M, F keeps ABCD for the next four.
#define FOUR(f, EA, FA, MA, EB, FB, MB) \
	SHA1NEXTE MA, EA      \
	SHA1NEXTE MB, EB      \
	MOVO      X0, FA      \
	MOVO      X7, FB      \
	SHA1RNDS4 $f, EA, X0  \
	SHA1RNDS4 $f, EB, X7

// What a group of four words becomes of the group M of 16 steps before, in three parts as the others
// become known: N is the group after M, O the one after that, P the last.
#define FIRST(NA, MA, NB, MB) \
	SHA1MSG1 NA, MA \
	SHA1MSG1 NB, MB
#define SECOND(OA, MA, OB, MB) \
	PXOR OA, MA \
	PXOR OB, MB
#define THIRD(PA, MA, PB, MB) \
	SHA1MSG2 PA, MA \
	SHA1MSG2 PB, MB

#define EVEN(f, MA, MB) FOUR(f, X1, X2, MA, X8, X9, MB)
#define ODD(f, MA, MB)  FOUR(f, X2, X1, MA, X9, X8, MB)

// func blocks2(h0, h1 *[5]uint32, p0, p1 unsafe.Pointer, n int)
TEXT ·blocks2(SB), NOSPLIT, $64-40
	MOVQ h0+0(FP), R8
	MOVQ h1+8(FP), R9
	MOVQ p0+16(FP), SI
	MOVQ p1+24(FP), DI
	MOVQ n+32(FP), CX

	MOVOU  reversed<>(SB), X14
	MOVOU  (R8), X0
	MOVOU  (R9), X7
	PSHUFD $0x1B, X0, X0
	PSHUFD $0x1B, X7, X7
	PXOR   X1, X1
	PXOR   X8, X8
	PINSRD $3, 16(R8), X1
	PINSRD $3, 16(R9), X8

block2:
	MOVOU X0, 0(SP)
	MOVOU X7, 16(SP)
	MOVOU X1, 32(SP)
	MOVOU X8, 48(SP)

	// Steps 0-3 have an E that nothing was left out of.
	LOAD(0, X3, X10)
	PADDD     X3, X1
	PADDD     X10, X8
	MOVO      X0, X2
	MOVO      X7, X9
	SHA1RNDS4 $0, X1, X0
	SHA1RNDS4 $0, X8, X7

	LOAD(1, X4, X11)
	ODD(0, X4, X11)
	FIRST(X4, X3, X11, X10)
	LOAD(2, X5, X12)
	EVEN(0, X5, X12)
	FIRST(X5, X4, X12, X11)
	SECOND(X5, X3, X12, X10)
	LOAD(3, X6, X13)
	THIRD(X6, X3, X13, X10)
	ODD(0, X6, X13)
	FIRST(X6, X5, X13, X12)
	SECOND(X6, X4, X13, X11)

#define MIXED(turn, f, MA, NA, OA, PA, MB, NB, OB, PB) \
	THIRD(MA, NA, MB, NB)  \
	turn(f, MA, MB)        \
	FIRST(MA, PA, MB, PB)  \
	SECOND(MA, OA, MB, OB)

	MIXED(EVEN, 0, X3, X4, X5, X6, X10, X11, X12, X13)
	MIXED(ODD, 1, X4, X5, X6, X3, X11, X12, X13, X10)
	MIXED(EVEN, 1, X5, X6, X3, X4, X12, X13, X10, X11)
	MIXED(ODD, 1, X6, X3, X4, X5, X13, X10, X11, X12)
	MIXED(EVEN, 1, X3, X4, X5, X6, X10, X11, X12, X13)
	MIXED(ODD, 1, X4, X5, X6, X3, X11, X12, X13, X10)
	MIXED(EVEN, 2, X5, X6, X3, X4, X12, X13, X10, X11)
	MIXED(ODD, 2, X6, X3, X4, X5, X13, X10, X11, X12)
	MIXED(EVEN, 2, X3, X4, X5, X6, X10, X11, X12, X13)
	MIXED(ODD, 2, X4, X5, X6, X3, X11, X12, X13, X10)
	MIXED(EVEN, 2, X5, X6, X3, X4, X12, X13, X10, X11)
	MIXED(ODD, 3, X6, X3, X4, X5, X13, X10, X11, X12)
	MIXED(EVEN, 3, X3, X4, X5, X6, X10, X11, X12, X13)

	THIRD(X4, X5, X11, X12)
	ODD(3, X4, X11)
	SECOND(X4, X6, X11, X13)
	THIRD(X5, X6, X12, X13)
	EVEN(3, X5, X12)
	ODD(3, X6, X13)

	// X1 and X8 hold the ABCD of four steps ago: the last E.
	MOVOU     32(SP), X15
	SHA1NEXTE X15, X1
	MOVOU     48(SP), X15
	SHA1NEXTE X15, X8
	MOVOU     0(SP), X15
	PADDD     X15, X0
	MOVOU     16(SP), X15
	PADDD     X15, X7

	ADDQ $64, SI
	ADDQ $64, DI
	DECQ CX
	JNZ  block2

	PSHUFD $0x1B, X0, X0
	PSHUFD $0x1B, X7, X7
	MOVOU  X0, (R8)
	MOVOU  X7, (R9)
	PEXTRD $3, X1, 16(R8)
	PEXTRD $3, X8, 16(R9)
	RET
