// SPDX-License-Identifier: GPL-2.0-or-later

package partclone

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A Probe is what a device was found to hold, in blkid's words. The zero value is a device on which
// nothing was recognised.
type Probe struct {
	Type           string // filesystem or other content, such as ext4, swap, crypto_LUKS; or ""
	PartitionTable string // dos, gpt and so on; or ""
}

// errAmbivalent is blkid's answer to a device that carries the marks of two filesystems.
var errAmbivalent = errors.New("it carries the marks of more than one filesystem")

// Detect asks `blkid -p`, whose probing is careful about leftovers of former filesystems and reads
// the device, not a cache.
func Detect(ctx context.Context, source string) (Probe, error) {
	source, err := filepath.Abs(source) // a name like -x must not become an option
	if err != nil {
		return Probe{}, fmt.Errorf("detect the filesystem of %s: %w", source, err)
	}
	blkid, err := find("blkid")
	if err != nil {
		return Probe{}, fmt.Errorf("detect the filesystem of %s: %w", source, err)
	}
	cmd := exec.CommandContext(ctx, blkid, "-p", "-o", "export", source)
	cmd.Env = plainEnv()
	var stderr said
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if ctx.Err() != nil {
		return Probe{}, ctx.Err()
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		switch exit.ExitCode() {
		case 2: // blkid(8): nothing could be identified
			return Probe{}, nil
		case 8:
			return Probe{}, fmt.Errorf("detect the filesystem of %s: %w", source, errAmbivalent)
		}
	}
	if err != nil {
		return Probe{}, fmt.Errorf("detect the filesystem of %s: blkid: %w", source, stderr.explain(err))
	}
	return parseExport(out), nil
}

// parseExport reads blkid's KEY=VALUE lines. Values that could do harm in a shell are escaped
// there; the ones read here are words of blkid itself.
func parseExport(out []byte) Probe {
	var p Probe
	for line := range bytes.Lines(out) {
		key, value, _ := strings.Cut(strings.TrimRight(string(line), "\n"), "=")
		switch key {
		case "TYPE":
			p.Type = value
		case "PTTYPE":
			p.PartitionTable = value
		}
	}
	return p
}

// plainEnv is our environment with messages in English, since some are read here.
func plainEnv() []string {
	return append(os.Environ(), "LC_ALL=C", "LANGUAGE=C")
}
