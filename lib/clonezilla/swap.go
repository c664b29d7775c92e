// SPDX-License-Identifier: GPL-2.0-or-later

package clonezilla

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"math"
	"strings"
)

// swapPage is the page of every machine that Clonezilla's live system is made for.
const swapPage = 4096

// parseSwap reads what Clonezilla keeps of a swap partition (swappt-NAME.info): UUID="…", LABEL="…".
func parseSwap(r io.Reader) (uuid, label string, err error) {
	sc := bufio.NewScanner(io.LimitReader(r, 64<<10))
	for sc.Scan() {
		key, value, ok := strings.Cut(strings.TrimSpace(sc.Text()), "=")
		value = strings.Trim(value, `"`)
		switch {
		case ok && key == "UUID":
			uuid = value
		case ok && key == "LABEL":
			label = value
		}
	}
	return uuid, label, sc.Err()
}

// swapHeader is the first page of a swap area of size bytes (union swap_header in the kernel's
// include/linux/swap.h), by which it is found in /etc/fstab.
func swapHeader(size int64, uuid, label string) ([]byte, error) {
	pages := size / swapPage
	if pages < 10 { // mkswap's own limit
		return nil, fmt.Errorf("a swap area of %d bytes", size)
	}
	b := make([]byte, swapPage)
	le := binary.LittleEndian
	le.PutUint32(b[1024:], 1)
	le.PutUint32(b[1028:], uint32(min(pages-1, math.MaxUint32)))
	id, err := hex.DecodeString(strings.ReplaceAll(uuid, "-", ""))
	if err != nil || len(id) != 16 && len(id) != 0 {
		return nil, fmt.Errorf("%.60q is not a UUID", uuid)
	}
	copy(b[1036:1052], id)
	if len(label) > 15 {
		return nil, fmt.Errorf("the label %.60q is longer than 15 bytes", label)
	}
	copy(b[1052:1068], label)
	copy(b[swapPage-10:], "SWAPSPACE2")
	return b, nil
}
