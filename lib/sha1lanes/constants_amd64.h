// SPDX-License-Identifier: GPL-2.0-or-later

// The additive constants of FIPS 180-4, 4.2.1.
DATA sha1constants<>+0(SB)/4, $0x5a827999
DATA sha1constants<>+4(SB)/4, $0x6ed9eba1
DATA sha1constants<>+8(SB)/4, $0x8f1bbcdc
DATA sha1constants<>+12(SB)/4, $0xca62c1d6
GLOBL sha1constants<>(SB), RODATA|NOPTR, $16

// For PSHUFB: a message's words are big-endian.
DATA sha1bytes<>+0(SB)/8, $0x0405060700010203
DATA sha1bytes<>+8(SB)/8, $0x0c0d0e0f08090a0b
GLOBL sha1bytes<>(SB), RODATA|NOPTR, $16
