// SPDX-License-Identifier: GPL-2.0-or-later

package partclone

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"time"

	"ezio/lib/extent"
)

// Used is the extent of a filesystem and of what it uses, as its partclone program sees it.
type Used struct {
	Filesystem string          // partclone's name, which can be finer than Program's: FAT32
	BlockSize  int64           // bytes; 0 when the program did not say
	Size       int64           // bytes from the start of the device that the filesystem covers
	Extents    []extent.Extent // used blocks: ascending, maximal runs
}

// UsedBlocks runs the program's domain map (-D), which reads metadata only. It fails when the
// program is missing or refuses the filesystem: partclone exits 1 for one that is damaged, was not
// cleanly unmounted or is mounted.
func UsedBlocks(ctx context.Context, p Program, source string) (*Used, error) {
	path, err := p.Find()
	if err != nil {
		return nil, err
	}
	u, err := runDomain(ctx, path, source)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("%s: %w", filepath.Base(path), err)
	}
	if u.Filesystem == "" {
		u.Filesystem = p.Filesystem
	}
	return u, nil
}

// runDomain runs one program. The map comes on its stdout; no log file is wanted; with no pause
// between two reports of progress it does not sleep longer than it works.
func runDomain(ctx context.Context, path, source string) (*Used, error) {
	source, err := filepath.Abs(source) // partclone takes - for stdin
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, path, "-D", "-q", "-f", "0", "-L", "/dev/null", "-o", "-", "-s", source)
	cmd.Env = plainEnv()
	cmd.WaitDelay = 5 * time.Second
	var stderr said
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	list, size, parseErr := ParseDomain(stdout)
	_, _ = io.Copy(io.Discard, stdout) // so that it can end, whatever else it has to say
	// Its exit status comes first: a program that failed has written half a map, or none.
	if err := cmd.Wait(); err != nil {
		return nil, stderr.explain(err)
	}
	if parseErr != nil {
		return nil, parseErr
	}
	u := &Used{Size: size, Extents: list, Filesystem: stderr.filesystem, BlockSize: stderr.blockSize}
	if !u.aligned() {
		u.BlockSize = 0
	}
	return u, nil
}

// aligned says whether everything found is a multiple of the block size.
func (u *Used) aligned() bool {
	if u.BlockSize <= 0 || u.Size%u.BlockSize != 0 {
		return false
	}
	for _, e := range u.Extents {
		if e.Offset%u.BlockSize != 0 || e.Length%u.BlockSize != 0 {
			return false
		}
	}
	return true
}
