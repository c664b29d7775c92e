// SPDX-License-Identifier: GPL-2.0-or-later

package metainfo

import (
	"crypto/sha1"
	"errors"
	"fmt"
	"math"
	"unicode"

	"github.com/anacrolix/torrent/bencode"

	"ezio/lib/extent"
	"ezio/lib/piece"
)

// infoDict is the info dict without its first key, the list of files.
type infoDict struct {
	Name        string `bencode:"name"`
	PieceLength int64  `bencode:"piece length"`
	Pieces      string `bencode:"pieces"`
	Private     int64  `bencode:"private,omitempty"`
}

type diskDict struct {
	BlockSize  int64  `bencode:"block size,omitempty"`
	DeviceSize int64  `bencode:"device size,omitempty"`
	Filesystem string `bencode:"filesystem,omitempty"`
	Table      string `bencode:"partition table,omitempty"`
	Report     string `bencode:"report,omitempty"`
	Source     string `bencode:"source,omitempty"`
}

// Parse reads a .torrent. Whatever it says was made by anybody: see the package comment for what
// is checked.
func Parse(b []byte) (*Torrent, error) {
	if len(b) > MaxSize {
		return nil, fmt.Errorf("torrent of %d bytes: larger than %d", len(b), MaxSize)
	}
	root, info, err := scan(b)
	if err != nil {
		return nil, err
	}
	raw, ok := root["info"]
	if !ok {
		return nil, errors.New("not a torrent: no info dict")
	}
	t := &Torrent{root: root}
	hash := make(chan InfoHash, 1)
	go func() { hash <- sha1.Sum(raw) }() // of many megabytes, maybe, while they are read
	err = t.parseInfo(raw, info)
	t.InfoHash = <-hash
	if err != nil {
		return nil, err
	}
	if err := t.parseDisk(root["ezio"]); err != nil {
		return nil, err
	}
	t.parseRest(root)
	return t, nil
}

// parseInfo reads the info dict, raw, of which values are the values.
func (t *Torrent) parseInfo(raw []byte, values map[string][]byte) error {
	if raw[0] != 'd' {
		return errors.New("not a torrent: info is not a dict")
	}
	var info infoDict
	for key, to := range map[string]any{"name": &info.Name, "piece length": &info.PieceLength, "pieces": &info.Pieces, "private": &info.Private} {
		if value, ok := values[key]; ok {
			if err := bencode.Unmarshal(value, to); err != nil {
				return fmt.Errorf("info dict: %s: %w", key, err)
			}
		}
	}
	t.Name, t.Private = info.Name, info.Private != 0
	if !printable(t.Name) || t.Name == "" {
		return fmt.Errorf("the name %.80q is empty or not printable", t.Name)
	}
	var err error
	if t.Extents, err = parseFiles(values["files"]); err != nil {
		return err
	}
	if t.Map, err = extent.New(t.Extents); err != nil {
		return err
	}
	if t.Map.Size() == 0 {
		return errors.New("it describes no data")
	}
	if err := piece.CheckLength(info.PieceLength); err != nil {
		return err
	}
	t.Layout = piece.Layout{Length: info.PieceLength, Size: t.Map.Size()}
	return t.parsePieces(info.Pieces)
}

func (t *Torrent) parsePieces(pieces string) error {
	want := t.Layout.Count()
	if want > piece.MaxCount {
		return fmt.Errorf("%d bytes in pieces of %d are more than %d pieces", t.Layout.Size, t.Layout.Length, piece.MaxCount)
	}
	if len(pieces) != want*len(piece.Hash{}) {
		return fmt.Errorf("%d bytes of piece sums, but %d bytes in pieces of %d need %d",
			len(pieces), t.Layout.Size, t.Layout.Length, want*len(piece.Hash{}))
	}
	t.Pieces = make([]piece.Hash, want)
	for i := range t.Pieces {
		copy(t.Pieces[i][:], pieces[i*len(piece.Hash{}):])
	}
	return nil
}

func (t *Torrent) parseDisk(raw []byte) error {
	if raw == nil {
		return nil
	}
	var d diskDict
	if err := bencode.Unmarshal(raw, &d); err != nil {
		return fmt.Errorf("ezio dict: %w", err)
	}
	t.Disk = Disk{DeviceSize: d.DeviceSize, BlockSize: d.BlockSize, Filesystem: d.Filesystem, Source: d.Source, PartitionTable: d.Table}
	t.Report = d.Report
	switch {
	case d.DeviceSize < 0 || d.DeviceSize > math.MaxInt64>>1 || d.BlockSize < 0:
		return fmt.Errorf("ezio dict: device size %d or block size %d out of range", d.DeviceSize, d.BlockSize)
	case d.DeviceSize > 0 && d.DeviceSize < t.Map.End():
		return fmt.Errorf("the last extent ends at %#x, beyond the device's end at %#x", t.Map.End(), d.DeviceSize)
	case d.Table != "" && (d.BlockSize < 512 || d.BlockSize > 64<<10 || d.BlockSize&(d.BlockSize-1) != 0 || d.DeviceSize == 0):
		return fmt.Errorf("ezio dict: a whole disk of %d bytes with sectors of %d", d.DeviceSize, d.BlockSize)
	case !printable(d.Filesystem) || !printable(d.Source) || !printable(d.Table) || !printable(d.Report):
		return errors.New("ezio dict: unprintable text")
	}
	return nil
}

// parseRest reads what only informs: trackers and texts. A value of another type than expected is
// as good as absent.
func (t *Torrent) parseRest(root map[string][]byte) {
	text := func(key string) (s string) {
		if raw, ok := root[key]; ok && bencode.Unmarshal(raw, &s) == nil && printable(s) {
			return s
		}
		return ""
	}
	t.CreatedBy, t.Comment = text("created by"), text("comment")
	var tiers [][]string
	if raw, ok := root["announce-list"]; ok && bencode.Unmarshal(raw, &tiers) == nil {
		for _, tier := range tiers {
			var urls []string
			for _, u := range tier {
				if u != "" && printable(u) {
					urls = append(urls, u)
				}
			}
			if len(urls) > 0 {
				t.Trackers = append(t.Trackers, urls)
			}
		}
	}
	if u := text("announce"); u != "" && len(t.Trackers) == 0 {
		t.Trackers = [][]string{{u}} // BEP 12: announce counts only without a list
	}
}

// printable keeps escape sequences out of what is later printed on an operator's terminal.
func printable(s string) bool {
	for _, r := range s {
		if unicode.IsControl(r) || r == unicode.ReplacementChar {
			return false
		}
	}
	return true
}
