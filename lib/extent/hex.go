// SPDX-License-Identifier: GPL-2.0-or-later

package extent

import (
	"errors"
	"fmt"
	"math"
)

// Name is how a disk offset is spelled in torrents, torrent.info and btfiles directories: 32
// lower-case hexadecimal digits, as partclone prints it.
func Name(offset int64) string { return string(AppendName(nil, offset)) }

// AppendName adds Name to b.
func AppendName(b []byte, offset int64) []byte {
	const digits = "0123456789abcdef"
	var name [32]byte
	for i := len(name) - 1; i >= 0; i-- {
		name[i] = digits[offset&15]
		offset >>= 4
	}
	return append(b, name[:]...)
}

// ParseHex reads an offset or length as other programs may have spelled it: any number of
// hexadecimal digits of either case, no sign, no prefix, within 63 bits.
func ParseHex[T string | []byte](s T) (int64, error) {
	if len(s) == 0 {
		return 0, errors.New("no hexadecimal digits")
	}
	var n uint64
	zeros := 0 // most of the 32 digits that partclone prints
	for zeros+8 < len(s) && string(s[zeros:zeros+8]) == "00000000" {
		zeros += 8
	}
	for zeros < len(s) && s[zeros] == '0' {
		zeros++
	}
	for i := zeros; i < len(s); i++ {
		var d byte
		switch c := s[i]; {
		case '0' <= c && c <= '9':
			d = c - '0'
		case 'a' <= c && c <= 'f':
			d = c - 'a' + 10
		case 'A' <= c && c <= 'F':
			d = c - 'A' + 10
		default:
			return 0, fmt.Errorf("%.80q is not hexadecimal", string(s))
		}
		if n > math.MaxInt64>>4 {
			return 0, fmt.Errorf("%.80q does not fit 63 bits", string(s))
		}
		n = n<<4 | uint64(d)
	}
	return int64(n), nil
}
