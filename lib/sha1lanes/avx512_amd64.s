// SPDX-License-Identifier: GPL-2.0-or-later

#include "textflag.h"
#include "constants_amd64.h"
#include "rounds_amd64.h"

// Sixteen lanes: dword i of every register belongs to lane i.
//
//	Z0-Z4    RA to RE
//	Z5-Z8    scratch
//	Z9-Z13   the chaining value, which the working variables are added to after each block
//	Z14      the additive constant
//	Z15      the byte order for VPSHUFB
//	Z16-Z31  W0 to W15
//	DI the chaining values, SI the lanes' pointers, DX bytes done, CX blocks left, AX scratch
#define RA Z0
#define RB Z1
#define RC Z2
#define RD Z3
#define RE Z4
#define W0 Z16
#define W1 Z17
#define W2 Z18
#define W3 Z19
#define W4 Z20
#define W5 Z21
#define W6 Z22
#define W7 Z23
#define W8 Z24
#define W9 Z25
#define W10 Z26
#define W11 Z27
#define W12 Z28
#define W13 Z29
#define W14 Z30
#define W15 Z31

// VPTERNLOGD's table has one bit for each value of the three inputs, its destination the highest:
// 0x96 is their sum without carry, 0xCA chooses by the first, 0xE8 is the majority.
#define SCHEDULE(W, WA, WB, WC) \
	VPTERNLOGD $0x96, WA, WB, W \
	VPXORD     WC, W, W         \
	VPROLD     $1, W, W

#define CONSTANT(n) VPBROADCASTD sha1constants<>+(4*n)(SB), Z14

// The sum is built so that A, which is the last to be known, is the last to be added.
#define STEP(table, A, B, C, D, E, W) \
	VPADDD     W, Z14, Z6     \
	VMOVDQA64  B, Z5          \
	VPTERNLOGD $table, D, C, Z5 \
	VPADDD     Z6, E, E       \
	VPROLD     $5, A, Z7      \
	VPADDD     Z5, E, E       \
	VPROLD     $30, B, B      \
	VPADDD     Z7, E, E

#define CHOOSE(A, B, C, D, E, W) STEP(0xCA, A, B, C, D, E, W)
#define PARITY(A, B, C, D, E, W) STEP(0x96, A, B, C, D, E, W)
#define MAJORITY(A, B, C, D, E, W) STEP(0xE8, A, B, C, D, E, W)

// LOAD fetches a lane's block; with the order of bytes in each word reversed.
#define LOAD(lane, W) \
	MOVQ      (8*lane)(SI), AX \
	VMOVDQU64 (AX)(DX*1), W  \
	VPSHUFB   Z15, W, W

// QUARTERS turns the blocks of four lanes into vectors that hold, in their quarter q, word 4q, 4q+1,
// 4q+2 and 4q+3 of the four.
#define QUARTERS(WA, WB, WC, WD) \
	VPUNPCKLDQ  WB, WA, Z5 \
	VPUNPCKHDQ  WB, WA, Z6 \
	VPUNPCKLDQ  WD, WC, Z7 \
	VPUNPCKHDQ  WD, WC, Z8 \
	VPUNPCKLQDQ Z7, Z5, WA \
	VPUNPCKHQDQ Z7, Z5, WB \
	VPUNPCKLQDQ Z8, Z6, WC \
	VPUNPCKHQDQ Z8, Z6, WD

// COLUMNS turns four such vectors, of lanes 0-3, 4-7, 8-11 and 12-15, into the four words of all.
#define COLUMNS(WA, WB, WC, WD) \
	VSHUFI32X4 $0x44, WB, WA, Z5 \
	VSHUFI32X4 $0xEE, WB, WA, Z6 \
	VSHUFI32X4 $0x44, WD, WC, Z7 \
	VSHUFI32X4 $0xEE, WD, WC, Z8 \
	VSHUFI32X4 $0x88, Z7, Z5, WA \
	VSHUFI32X4 $0xDD, Z7, Z5, WB \
	VSHUFI32X4 $0x88, Z8, Z6, WC \
	VSHUFI32X4 $0xDD, Z8, Z6, WD

// func blocks16(h *chains, p *pointers, n int)
TEXT ·blocks16(SB), NOSPLIT, $0-24
	MOVQ h+0(FP), DI
	MOVQ p+8(FP), SI
	MOVQ n+16(FP), CX
	XORQ DX, DX

	VBROADCASTI32X4 sha1bytes<>(SB), Z15
	VMOVDQU32       0(DI), Z9
	VMOVDQU32       64(DI), Z10
	VMOVDQU32       128(DI), Z11
	VMOVDQU32       192(DI), Z12
	VMOVDQU32       256(DI), Z13

block16:
	LOAD(0, W0)
	LOAD(1, W1)
	LOAD(2, W2)
	LOAD(3, W3)
	LOAD(4, W4)
	LOAD(5, W5)
	LOAD(6, W6)
	LOAD(7, W7)
	LOAD(8, W8)
	LOAD(9, W9)
	LOAD(10, W10)
	LOAD(11, W11)
	LOAD(12, W12)
	LOAD(13, W13)
	LOAD(14, W14)
	LOAD(15, W15)
	QUARTERS(W0, W1, W2, W3)
	QUARTERS(W4, W5, W6, W7)
	QUARTERS(W8, W9, W10, W11)
	QUARTERS(W12, W13, W14, W15)
	COLUMNS(W0, W4, W8, W12)
	COLUMNS(W1, W5, W9, W13)
	COLUMNS(W2, W6, W10, W14)
	COLUMNS(W3, W7, W11, W15)

	VMOVDQA64 Z9, RA
	VMOVDQA64 Z10, RB
	VMOVDQA64 Z11, RC
	VMOVDQA64 Z12, RD
	VMOVDQA64 Z13, RE
	ROUNDS
	VPADDD RA, Z9, Z9
	VPADDD RB, Z10, Z10
	VPADDD RC, Z11, Z11
	VPADDD RD, Z12, Z12
	VPADDD RE, Z13, Z13

	ADDQ $64, DX
	DECQ CX
	JNZ  block16

	VMOVDQU32 Z9, 0(DI)
	VMOVDQU32 Z10, 64(DI)
	VMOVDQU32 Z11, 128(DI)
	VMOVDQU32 Z12, 192(DI)
	VMOVDQU32 Z13, 256(DI)
	VZEROUPPER
	RET
