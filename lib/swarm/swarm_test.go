// SPDX-License-Identifier: GPL-2.0-or-later

package swarm

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ezio/lib/extent"
	"ezio/lib/metainfo"
	"ezio/lib/piece"
	"ezio/lib/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ram is a disk in memory, with faults.
type ram struct {
	mu      sync.Mutex
	b       []byte
	failAt  int64 // a write that touches this offset fails; 0: none does
	readBad int64 // likewise a read
	writes  []extent.Extent
}

var errDisk = errors.New("input/output error")

func (d *ram) ReadAt(p []byte, off int64) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.readBad > 0 && off <= d.readBad && d.readBad < off+int64(len(p)) {
		return 0, errDisk
	}
	n := copy(p, d.b[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (d *ram) WriteAt(p []byte, off int64) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failAt > 0 && off <= d.failAt && d.failAt < off+int64(len(p)) {
		return 0, errDisk
	}
	d.writes = append(d.writes, extent.Extent{Offset: off, Length: int64(len(p))})
	return copy(d.b[off:], p), nil
}

func (d *ram) Sync() error { return nil }

// image is a disk of random extents with random content, and its torrent.
func image(t *testing.T, pieces int, length int64) (*metainfo.Torrent, *ram) {
	t.Helper()
	rng := rand.New(rand.NewPCG(7, 7))
	var list []extent.Extent
	var end int64
	for size := int64(0); size < int64(pieces)*length-length/3; {
		n := min(1+rng.Int64N(3*length), int64(pieces)*length-length/3-size)
		end += rng.Int64N(5000)
		list = append(list, extent.Extent{Offset: end, Length: n})
		end += n
		size += n
	}
	disk := &ram{b: make([]byte, end)}
	rand.NewChaCha8([32]byte{3}).Read(disk.b)
	m, err := extent.New(list)
	if err != nil {
		t.Fatal(err)
	}
	im := extent.Image{Map: m, Disk: disk}
	l := piece.Layout{Length: length, Size: m.Size()}
	sums := make([]piece.Hash, l.Count())
	for i := range sums {
		off, n := l.Span(i)
		buf := make([]byte, n)
		if _, err := im.ReadAt(buf, off); err != nil {
			t.Fatal(err)
		}
		sums[i] = piece.Sum(buf)
	}
	_, tor, err := metainfo.Spec{Name: "x", PieceLength: length, Extents: list, Pieces: sums}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return tor, disk
}

func begin(t *testing.T, tor *metainfo.Torrent, st Store, cfg Config) *Swarm {
	t.Helper()
	if cfg.Port == nil {
		cfg.Listen = "127.0.0.1:0"
	}
	s := New(tor, st, cfg)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func addr(s *Swarm) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(s.Port()))
}

func addrs(t *testing.T, list ...string) []netip.AddrPort {
	t.Helper()
	var all []netip.AddrPort
	for _, a := range list {
		all = append(all, netip.MustParseAddrPort(a))
	}
	return all
}

func wait(t *testing.T, s *Swarm) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 120*time.Second)
	defer cancel()
	return s.Wait(ctx)
}

func same(t *testing.T, tor *metainfo.Torrent, want, got *ram) {
	t.Helper()
	for e := range tor.Map.All() {
		if !bytes.Equal(want.b[e.Offset:e.End()], got.b[e.Offset:e.End()]) {
			t.Fatalf("%v differ", e)
		}
	}
	for _, w := range got.writes {
		inside := false
		for e := range tor.Map.All() {
			inside = inside || e.Offset <= w.Offset && w.End() <= e.End()
		}
		if !inside {
			t.Fatalf("a write outside the extents: %v", w)
		}
	}
}

// Eight receivers that know only the seed find each other and all finish.
func TestEightReceivers(t *testing.T) {
	for _, length := range []int64{64 << 10, 1 << 20} {
		tor, disk := image(t, int(16<<20/length), length)
		seed := begin(t, tor, store.NewSource(tor, disk, "seed"), Config{})
		var got []*ram
		var all []*Swarm
		for range 8 {
			d := &ram{b: make([]byte, len(disk.b))}
			s := begin(t, tor, store.New(tor, d, "target"), Config{})
			s.AddPeers([]netip.AddrPort{addr(seed)})
			for _, o := range all {
				s.AddPeers([]netip.AddrPort{addr(o)})
			}
			got, all = append(got, d), append(all, s)
		}
		for i, s := range all {
			if err := wait(t, s); err != nil {
				t.Fatalf("receiver %d: %v", i, err)
			}
		}
		for i, s := range all {
			s.Close()
			same(t, tor, disk, got[i])
		}
		seed.Close()
		t.Logf("the seed sent %.2f images", float64(seed.Stats().Up)/float64(tor.Layout.Size))
	}
}

func TestResumeFetchesOnlyWhatIsMissing(t *testing.T) {
	tor, disk := image(t, 64, 64<<10)
	seed := begin(t, tor, store.NewSource(tor, disk, "seed"), Config{})
	d := &ram{b: bytes.Clone(disk.b)}
	off, _ := tor.Layout.Span(10)
	for e := range tor.Map.Slices(off, 1) {
		d.b[e.Offset] ^= 1
	}
	st := store.New(tor, d, "target")
	if err := st.Scan(context.Background(), nil, nil); err != nil {
		t.Fatal(err)
	}
	s := begin(t, tor, st, Config{})
	s.AddPeers([]netip.AddrPort{addr(seed)})
	if err := wait(t, s); err != nil {
		t.Fatal(err)
	}
	s.Close()
	same(t, tor, disk, d)
	if down := s.Stats().Down; down != tor.Layout.Length {
		t.Fatalf("fetched %d bytes, want one piece", down)
	}
}

// A write that fails ends the receiver at once, with the place; it is not the peer's fault.
func TestDiskFailureEndsIt(t *testing.T) {
	tor, disk := image(t, 64, 64<<10)
	seed := begin(t, tor, store.NewSource(tor, disk, "seed"), Config{})
	var place int64
	off, _ := tor.Layout.Span(40)
	for e := range tor.Map.Slices(off+100, 1) {
		place = e.Offset
	}
	banned := false
	s := begin(t, tor, store.New(tor, &ram{b: make([]byte, len(disk.b)), failAt: place}, "/dev/x"), Config{
		Banned: func(string, string) { banned = true },
	})
	s.AddPeers([]netip.AddrPort{addr(seed)})
	err := wait(t, s)
	var io1 *extent.IOError
	if !errors.As(err, &io1) || !errors.Is(err, errDisk) || io1.Path != "/dev/x" || banned {
		t.Fatalf("error %v, banned %v", err, banned)
	}
}

// A bad sector on the seed costs its piece, and nothing else.
func TestSeedReadErrorWithdrawsThePiece(t *testing.T) {
	tor, disk := image(t, 64, 64<<10)
	bad := &ram{b: disk.b}
	off, _ := tor.Layout.Span(20)
	for e := range tor.Map.Slices(off+70, 1) {
		bad.readBad = e.Offset
	}
	reported := make(chan int, 100)
	seed := begin(t, tor, store.NewSource(tor, bad, "seed"), Config{ReadFailed: func(i int, err error) {
		if errors.Is(err, errDisk) {
			reported <- i
		}
	}})
	d := &ram{b: make([]byte, len(disk.b))}
	st := store.New(tor, d, "target")
	s := begin(t, tor, st, Config{})
	s.AddPeers([]netip.AddrPort{addr(seed)})
	deadline := time.After(60 * time.Second)
	for st.Have().Count() < 63 {
		select {
		case <-deadline:
			t.Fatalf("only %d of 63 good pieces came", st.Have().Count())
		case <-time.After(10 * time.Millisecond):
		}
	}
	select {
	case i := <-reported:
		if i != 20 {
			t.Fatalf("piece %d was reported", i)
		}
	case <-deadline:
		t.Fatal("the piece was not reported")
	}
	// Another seed has it.
	other := begin(t, tor, store.NewSource(tor, disk, "other"), Config{})
	s.AddPeers([]netip.AddrPort{addr(other)})
	if err := wait(t, s); err != nil {
		t.Fatal(err)
	}
}

// A peer whose disk changed after it was checked sends pieces that do not match: they are not
// written, it is banned once it did so twice, and the job is finished with the others.
func TestLiarIsBanned(t *testing.T) {
	tor, disk := image(t, 64, 64<<10)
	liar := &ram{b: bytes.Clone(disk.b)}
	for i := range liar.b {
		if i%1000 == 0 {
			liar.b[i] ^= 0x55
		}
	}
	bad := begin(t, tor, store.NewSource(tor, liar, "liar"), Config{})
	d := &ram{b: make([]byte, len(disk.b))}
	banned := make(chan string, 10)
	s := begin(t, tor, store.New(tor, d, "target"), Config{Banned: func(peer, _ string) { banned <- peer }})
	s.AddPeers([]netip.AddrPort{addr(bad)})
	select {
	case <-banned:
	case <-time.After(60 * time.Second):
		t.Fatal("nobody was banned")
	}
	if len(d.writes) > 0 {
		t.Fatalf("wrong data was written: %v", d.writes)
	}
}

func TestCancelledIsNotFinished(t *testing.T) {
	tor, disk := image(t, 64, 64<<10)
	s := begin(t, tor, store.New(tor, &ram{b: make([]byte, len(disk.b))}, "target"), Config{})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Wait(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
}

// Receivers finish from each other when the seed is gone, once everything has left it.
func TestSeedLeavesEarly(t *testing.T) {
	tor, disk := image(t, 100, 64<<10)
	seed := begin(t, tor, store.NewSource(tor, disk, "seed"), Config{})
	var sts []*store.Store
	var all []*Swarm
	for range 3 {
		st := store.New(tor, &ram{b: make([]byte, len(disk.b))}, "target")
		s := begin(t, tor, st, Config{})
		s.AddPeers([]netip.AddrPort{addr(seed)})
		for _, o := range all {
			s.AddPeers([]netip.AddrPort{addr(o)})
		}
		sts, all = append(sts, st), append(all, s)
	}
	left := func() bool {
		for i := range tor.Pieces {
			if !sts[0].Has(i) && !sts[1].Has(i) && !sts[2].Has(i) {
				return false
			}
		}
		return true
	}
	for deadline := time.Now().Add(60 * time.Second); !left(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the seed never gave everything away")
		}
	}
	seed.Close()
	for i, s := range all {
		if err := wait(t, s); err != nil {
			t.Fatalf("receiver %d: %v", i, err)
		}
	}
}
