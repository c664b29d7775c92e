// SPDX-License-Identifier: GPL-2.0-or-later

#include "textflag.h"
#include "constants_amd64.h"
#include "rounds_amd64.h"

// Eight lanes: dword i of every register belongs to lane i. The schedule does not fit in registers.
//
//	Y0-Y4   RA to RE
//	Y5-Y13  scratch
//	Y14     the additive constant
//	Y15     the byte order for VPSHUFB
//	R8 the schedule, 32-byte aligned on the stack: W0 to W15
//	DI the chaining values, SI the lanes' pointers, DX bytes done, CX blocks left, AX, BX scratch
#define RA Y0
#define RB Y1
#define RC Y2
#define RD Y3
#define RE Y4
#define W0 0(R8)
#define W1 32(R8)
#define W2 64(R8)
#define W3 96(R8)
#define W4 128(R8)
#define W5 160(R8)
#define W6 192(R8)
#define W7 224(R8)
#define W8 256(R8)
#define W9 288(R8)
#define W10 320(R8)
#define W11 352(R8)
#define W12 384(R8)
#define W13 416(R8)
#define W14 448(R8)
#define W15 480(R8)

#define SCHEDULE(W, WA, WB, WC) \
	VMOVDQA W, Y5       \
	VPXOR   WA, Y5, Y5  \
	VPXOR   WB, Y5, Y5  \
	VPXOR   WC, Y5, Y5  \
	VPADDD  Y5, Y5, Y6  \
	VPSRLD  $31, Y5, Y5 \
	VPOR    Y6, Y5, Y5  \
	VMOVDQA Y5, W

#define CONSTANT(n) VPBROADCASTD sha1constants<>+(4*n)(SB), Y14

// STEP does what is left when Y6 holds the function of B, C and D.
#define STEP(A, B, E, W) \
	VPADDD W, E, E      \
	VPSLLD $5, A, Y7    \
	VPADDD Y14, E, E    \
	VPSRLD $27, A, Y8   \
	VPADDD Y6, E, E     \
	VPOR   Y7, Y8, Y7   \
	VPSLLD $30, B, Y9   \
	VPSRLD $2, B, B     \
	VPADDD Y7, E, E     \
	VPOR   Y9, B, B

#define CHOOSE(A, B, C, D, E, W) \
	VPXOR C, D, Y6  \
	VPAND B, Y6, Y6 \
	VPXOR D, Y6, Y6 \
	STEP(A, B, E, W)

#define PARITY(A, B, C, D, E, W) \
	VPXOR C, D, Y6  \
	VPXOR B, Y6, Y6 \
	STEP(A, B, E, W)

#define MAJORITY(A, B, C, D, E, W) \
	VPXOR  C, D, Y6   \
	VPAND  C, D, Y10  \
	VPAND  B, Y6, Y6  \
	VPADDD Y10, E, E  \
	STEP(A, B, E, W)

// LOAD fetches half of a lane's block; with the order of bytes in each word reversed.
#define LOAD(lane, half, Y) \
	MOVQ    (8*lane)(SI), AX       \
	VMOVDQU (32*half)(AX)(DX*1), Y \
	VPSHUFB Y15, Y, Y

// HALF turns half of the blocks of all lanes into eight words of the schedule.
#define HALF(half) \
	LOAD(0, half, Y6)  \
	LOAD(1, half, Y7)  \
	LOAD(2, half, Y8)  \
	LOAD(3, half, Y9)  \
	VPUNPCKLDQ  Y7, Y6, Y0  \
	VPUNPCKHDQ  Y7, Y6, Y1  \
	VPUNPCKLDQ  Y9, Y8, Y2  \
	VPUNPCKHDQ  Y9, Y8, Y3  \
	VPUNPCKLQDQ Y2, Y0, Y6  \
	VPUNPCKHQDQ Y2, Y0, Y7  \
	VPUNPCKLQDQ Y3, Y1, Y8  \
	VPUNPCKHQDQ Y3, Y1, Y9  \
	LOAD(4, half, Y10) \
	LOAD(5, half, Y11) \
	LOAD(6, half, Y12) \
	LOAD(7, half, Y13) \
	VPUNPCKLDQ  Y11, Y10, Y0  \
	VPUNPCKHDQ  Y11, Y10, Y1  \
	VPUNPCKLDQ  Y13, Y12, Y2  \
	VPUNPCKHDQ  Y13, Y12, Y3  \
	VPUNPCKLQDQ Y2, Y0, Y10  \
	VPUNPCKHQDQ Y2, Y0, Y11  \
	VPUNPCKLQDQ Y3, Y1, Y12  \
	VPUNPCKHQDQ Y3, Y1, Y13  \
	VPERM2I128 $0x20, Y10, Y6, Y0  \
	VPERM2I128 $0x31, Y10, Y6, Y6  \
	VPERM2I128 $0x20, Y11, Y7, Y1  \
	VPERM2I128 $0x31, Y11, Y7, Y7  \
	VPERM2I128 $0x20, Y12, Y8, Y2  \
	VPERM2I128 $0x31, Y12, Y8, Y8  \
	VPERM2I128 $0x20, Y13, Y9, Y3  \
	VPERM2I128 $0x31, Y13, Y9, Y9  \
	VMOVDQA Y0, (256*half+0)(R8)   \
	VMOVDQA Y1, (256*half+32)(R8)  \
	VMOVDQA Y2, (256*half+64)(R8)  \
	VMOVDQA Y3, (256*half+96)(R8)  \
	VMOVDQA Y6, (256*half+128)(R8) \
	VMOVDQA Y7, (256*half+160)(R8) \
	VMOVDQA Y8, (256*half+192)(R8) \
	VMOVDQA Y9, (256*half+224)(R8)

// func blocks8(h *chains, p *pointers, n int)
TEXT ·blocks8(SB), 0, $544-24
	MOVQ h+0(FP), DI
	MOVQ p+8(FP), SI
	MOVQ n+16(FP), CX
	XORQ DX, DX
	LEAQ 31(SP), R8
	ANDQ $~31, R8

	VBROADCASTI128 sha1bytes<>(SB), Y15

block8:
	HALF(0)
	HALF(1)

	VMOVDQU 0(DI), RA
	VMOVDQU 64(DI), RB
	VMOVDQU 128(DI), RC
	VMOVDQU 192(DI), RD
	VMOVDQU 256(DI), RE
	ROUNDS
	VPADDD  0(DI), RA, RA
	VPADDD  64(DI), RB, RB
	VPADDD  128(DI), RC, RC
	VPADDD  192(DI), RD, RD
	VPADDD  256(DI), RE, RE
	VMOVDQU RA, 0(DI)
	VMOVDQU RB, 64(DI)
	VMOVDQU RC, 128(DI)
	VMOVDQU RD, 192(DI)
	VMOVDQU RE, 256(DI)

	ADDQ $64, DX
	DECQ CX
	JNZ  block8
	VZEROUPPER
	RET
