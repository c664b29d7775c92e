// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"fmt"
	"io"
	"slices"

	"ezio/lib/cli"
	"ezio/lib/metainfo"
	"ezio/lib/progress"
	"ezio/lib/roster"
	"ezio/lib/store"
	"ezio/lib/swarm"
)

// An image is one torrent with its source.
type image struct {
	t      *metainfo.Torrent
	path   string
	disk   io.Closer
	store  *store.Store
	sw     *swarm.Swarm // nil before serve
	roster *roster.Roster
}

// openImages reads the torrents, opens their sources and compares the two.
func openImages(c *cli.Call, r *progress.Reporter) (images []*image, err error) {
	torrents, sources := c.StringSlice("torrent"), c.StringSlice("source")
	switch {
	case len(sources) == 0:
		return nil, cli.Usagef("no source: -d is missing").WithHint("ezio-seed --help")
	case len(torrents) == 0:
		return nil, cli.Usagef("no torrent: -t is missing").WithHint("ezio-seed --help")
	case len(torrents) != len(sources):
		return nil, cli.Usagef("%d torrents (-t) for %d sources (-d)", len(torrents), len(sources)).WithHint("give one -d for each -t, in the same order")
	}
	defer func() {
		if err != nil {
			closeImages(images)
			images = nil
		}
	}()
	for i, arg := range torrents {
		if arg == "-" && slices.Contains(torrents[:i], arg) {
			return images, cli.Usagef("-t -: standard input holds one torrent")
		}
		im, err := openImage(c, arg, sources[i])
		if err != nil {
			return images, err
		}
		images = append(images, im)
		if slices.ContainsFunc(images[:i], func(o *image) bool { return o.t.InfoHash == im.t.InfoHash }) {
			return images, cli.Usagef("-t %s: the same image twice (infohash %s)", arg, im.t.InfoHash)
		}
	}
	for _, im := range images {
		if err := im.check(c, r); err != nil {
			return images, err
		}
	}
	return images, nil
}

func openImage(c *cli.Call, torrent, path string) (*image, error) {
	t, err := c.TorrentAt(torrent)
	if err != nil {
		return nil, err
	}
	disk, err := store.OpenSource(path)
	if err != nil {
		return nil, err
	}
	if disk.Size() < t.Map.End() {
		disk.Close()
		return nil, cli.Refusef("refuse %s: it has %d bytes, the image's last extent ends at %d", path, disk.Size(), t.Map.End())
	}
	original, _ := store.AsCaptured(t, disk)
	return &image{
		t: t, path: path, disk: disk,
		store: store.NewSource(t, original, path),
		roster: roster.New(roster.Config{Image: roster.Image{
			InfoHash: t.InfoHash, Name: t.Name, Size: t.Layout.Size, Pieces: len(t.Pieces), PieceLength: t.Layout.Length,
			DeviceSize: t.Disk.DeviceSize, Filesystem: t.Disk.Filesystem, Source: path,
		}}),
	}, nil
}

func closeImages(images []*image) {
	for _, im := range images {
		im.disk.Close()
	}
}

// serve begins to take part in the image's swarm.
func (im *image) serve(r *progress.Reporter, cfg swarm.Config) error {
	cfg.ReadFailed = func(i int, err error) {
		r.Printf("piece %d is not served any more: %v", i, err)
	}
	im.sw = swarm.New(im.t, im.store, cfg)
	if err := im.sw.Start(); err != nil {
		return fmt.Errorf("serve %s: %w", im.t.Name, err)
	}
	return nil
}

// check makes sure that the source holds the image: a few pieces of it, or all with --check. A
// seed with the wrong disk would be found out by every receiver, one piece at a time.
func (im *image) check(c *cli.Call, r *progress.Reporter) error {
	t := im.t
	which, total, what := spread(len(t.Pieces), t.Layout.Length), int64(0), "sampled pieces"
	if c.Bool("check") {
		which, what = all(len(t.Pieces)), "pieces"
	}
	for _, i := range which {
		_, n := t.Layout.Span(i)
		total += n
	}
	count := &cli.Counter{Total: total}
	r.Start("checking", count.Sample, progress.Fields{"source": im.path})
	defer r.Stop()
	bad := 0
	err := im.store.Scan(c.Context.Context, which, func(_ int, bytes int64, ok bool) {
		count.Add(bytes)
		if !ok {
			bad++
		}
	})
	if err != nil {
		return err
	}
	if bad > 0 {
		return &cli.Error{Code: cli.Mismatch, Err: fmt.Errorf("%s does not hold this image: %d of %d %s differ", im.path, bad, len(which), what),
			Hint: "capture it again: it has changed since, or it is another disk"}
	}
	return nil
}

// spread picks the few pieces compared in any case: first, last and some between, 64 MiB at most.
func spread(pieces int, length int64) []int {
	n := min(pieces, max(2, min(16, int((64<<20)/length))))
	if n == 1 {
		return []int{0}
	}
	which := make([]int, n)
	for k := range which {
		which[k] = int(int64(k) * int64(pieces-1) / int64(n-1))
	}
	return which
}

func all(pieces int) []int {
	which := make([]int, pieces)
	for i := range which {
		which[i] = i
	}
	return which
}
