// SPDX-License-Identifier: GPL-2.0-or-later

package metainfo

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackpal/bencode-go"

	"ezio/lib/extent"
	"ezio/lib/piece"
)

// Spec is what a .torrent is made of.
type Spec struct {
	Name        string
	CreatedBy   string
	Comment     string
	Created     time.Time // zero: not said
	Private     bool      // BEP 27
	Trackers    []string  // announce URLs, a tier each
	PieceLength int64     // bytes
	Extents     []extent.Extent
	Pieces      []piece.Hash
	Disk        Disk
}

// Encode writes the .torrent. The info dict has just the keys that libtorrent's create_torrent
// writes for version 1, so the infohash is the one EZIO's own script arrives at. What comes out
// has been through Parse, so whatever a reader would refuse is an error here.
func (s Spec) Encode() ([]byte, *Torrent, error) {
	info := infoDict{Name: s.Name, PieceLength: s.PieceLength}
	sums := make([]byte, 0, len(s.Pieces)*len(piece.Hash{}))
	for _, h := range s.Pieces {
		sums = append(sums, h[:]...)
	}
	info.Pieces = string(sums)
	if s.Private {
		info.Private = 1
	}
	root := map[string]any{}
	if len(s.Trackers) > 0 {
		root["announce"] = s.Trackers[0]
	}
	if len(s.Trackers) > 1 {
		root["announce-list"] = tiers(s.Trackers)
	}
	if s.CreatedBy != "" {
		root["created by"] = s.CreatedBy
	}
	if s.Comment != "" {
		root["comment"] = s.Comment
	}
	if !s.Created.IsZero() {
		root["creation date"] = s.Created.Unix()
	}
	if s.Disk != (Disk{}) {
		root["ezio"] = diskDict{BlockSize: s.Disk.BlockSize, DeviceSize: s.Disk.DeviceSize, Filesystem: s.Disk.Filesystem, Table: s.Disk.PartitionTable, Source: s.Disk.Source}
	}
	b, err := join(root, s.Extents, info)
	if err != nil {
		return nil, nil, fmt.Errorf("encode torrent: %w", err)
	}
	t, err := Parse(b)
	if err != nil {
		return nil, nil, err
	}
	return b, t, nil
}

// join puts the info dict behind the other keys of the root dict, all of which sort before it, and
// the list of files before the other keys of the info dict, which sort behind it.
func join(root map[string]any, extents []extent.Extent, info infoDict) ([]byte, error) {
	var front, back bytes.Buffer
	if err := errors.Join(bencode.Marshal(&front, root), bencode.Marshal(&back, info)); err != nil {
		return nil, err
	}
	const entry = len(fileFront+fileMiddle+fileBack) + 19 + 35
	b := make([]byte, 0, front.Len()+back.Len()+entry*len(extents)+32)
	b = append(b, front.Bytes()[:front.Len()-1]...)
	b = append(b, "4:infod5:filesl"...)
	for _, e := range extents {
		b = appendFile(b, e)
	}
	b = append(b, 'e')
	b = append(b, back.Bytes()[1:]...)
	return append(b, 'e'), nil
}

// WithAnnounce is the .torrent again with url as its first tracker, in a tier before the others.
// Everything else is left as it was, byte for byte.
func (t *Torrent) WithAnnounce(url string) ([]byte, error) {
	if t.root == nil {
		return nil, errors.New("a torrent that was not parsed cannot be written")
	}
	var b bytes.Buffer
	root := maps.Clone(t.root)
	set := func(key string, v any) error {
		b.Reset()
		err := bencode.Marshal(&b, v)
		root[key] = bytes.Clone(b.Bytes())
		return err
	}
	if err := set("announce", url); err != nil {
		return nil, err
	}
	delete(root, "announce-list")
	if list := append([][]string{{url}}, without(t.Trackers, url)...); len(list) > 1 {
		if err := set("announce-list", list); err != nil {
			return nil, err
		}
	}
	return writeDict(root), nil
}

// WithReport is the .torrent, as WithAnnounce gives it, that also says where its seed takes reports
// from receivers (docs/seed-http.md).
func (t *Torrent) WithReport(announce, report string) ([]byte, error) {
	if t.root == nil {
		return t.WithAnnounce(announce) // refuses
	}
	own := map[string][]byte{}
	if raw, ok := t.root["ezio"]; ok {
		var err error
		if own, _, err = scan(raw); err != nil {
			return nil, fmt.Errorf("ezio dict: %w", err)
		}
	}
	own["report"] = fmt.Appendf(nil, "%d:%s", len(report), report)
	root := maps.Clone(t.root)
	root["ezio"] = writeDict(own)
	with := *t
	with.root = root
	return with.WithAnnounce(announce)
}

// writeDict is a dict of which the values are bencoded already.
func writeDict(dict map[string][]byte) []byte {
	var b bytes.Buffer
	b.WriteByte('d')
	for _, key := range slices.Sorted(maps.Keys(dict)) {
		fmt.Fprintf(&b, "%d:%s%s", len(key), key, dict[key])
	}
	b.WriteByte('e')
	return b.Bytes()
}

func tiers(urls []string) [][]string {
	list := make([][]string, len(urls))
	for i, u := range urls {
		list[i] = []string{u}
	}
	return list
}

func without(list [][]string, url string) [][]string {
	var out [][]string
	for _, tier := range list {
		if tier = slices.DeleteFunc(slices.Clone(tier), func(u string) bool { return u == url }); len(tier) > 0 {
			out = append(out, tier)
		}
	}
	return out
}
