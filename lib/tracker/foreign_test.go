// SPDX-License-Identifier: GPL-2.0-or-later

package tracker

import (
	"bytes"
	"context"
	"crypto/sha1"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/anacrolix/torrent/tracker/shared"
)

// program starts a foreign program, which ends with the test.
func program(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("this test needs %s (Debian package of the same name; aria2c is in aria2): %v", name, err)
	}
	var out bytes.Buffer
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s said:\n%s", name, out.String())
		}
	})
	return cmd
}

// freePort is a port that is free for TCP and UDP alike.
func freePort(t *testing.T) string {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_, port, _ := net.SplitHostPort(l.Addr().String())
		pc, err := net.ListenPacket("udp", l.Addr().String())
		l.Close()
		if err == nil {
			pc.Close()
			return port
		}
	}
	t.Fatal("no port is free for both TCP and UDP")
	return ""
}

// Our client against Debian's opentracker, over HTTP and over UDP: two peers learn of each other,
// and one that has said goodbye is not told of any more.
func TestOpentracker(t *testing.T) {
	dir, port := t.TempDir(), freePort(t)
	if err := os.Chmod(dir, 0o755); err != nil { // it gives up root
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "white"), fmt.Appendf(nil, "%x\n", testHash), 0o644); err != nil {
		t.Fatal(err)
	}
	program(t, "opentracker", "-i", "127.0.0.1", "-p", port, "-P", port, "-d", dir, "-u", "nobody", "-w", "white")
	for i, u := range []string{"http://127.0.0.1:" + port + "/announce", "udp://127.0.0.1:" + port + "/announce"} {
		first, second := uint16(7001+10*i), uint16(7002+10*i)
		one := startClient(t, u, 1+10*i, first)
		eventually(t, u+": the first has announced", func() bool { return !one.c.Status()[0].LastOK.IsZero() })
		two := startClient(t, u, 2+10*i, second)
		two.knows(t, "127.0.0.1", first)
		one.stop()
		eventually(t, u+": the first is forgotten", func() bool {
			a, err := once(ClientConfig{}, u, shared.None)
			if err != nil {
				t.Fatal(err)
			}
			return !slices.Contains(a.peers, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), first))
		})
		two.stop()
	}
	c := NewClient(ClientConfig{Trackers: []string{"http://127.0.0.1:" + port + "/announce"}})
	_, err := c.trackers[0].send(context.Background(), c.trackers[0].url, request{port: 1, infoHash: [20]byte{1}})
	if err == nil || !strings.Contains(cause(err), "not authorized") {
		t.Errorf("a torrent it does not track: %v", err)
	}
}

// A foreign client takes the torrent and the tracker from us, comes and goes.
func TestAria2(t *testing.T) {
	name := filepath.Join(t.TempDir(), "x")
	info := "d6:lengthi16384e4:name1:x12:piece lengthi16384e6:pieces20:" + strings.Repeat("x", 20) + "e"
	s := NewServer(ServerConfig{Torrents: []Tracked{{
		InfoHash: sha1.Sum([]byte(info)), Size: 16384, SeedPort: 9,
		Torrent: func(u string) ([]byte, error) {
			return fmt.Appendf(nil, "d8:announce%d:%s4:info%se", len(u), u, info), nil
		},
	}}})
	where := "http://" + listen(t, s, "127.0.0.1") + "/x.torrent"
	cmd := program(t, "aria2c", "--no-conf", "--enable-dht=false", "--enable-dht6=false", "--bt-enable-lpd=false",
		"--listen-port="+freePort(t), "--dir="+filepath.Dir(name), where)
	one := func(want State) func() bool {
		return func() bool {
			list := s.Receivers(0)
			return len(list) == 1 && list[0].State == want && list[0].Left == 16384 && strings.HasPrefix(string(list[0].ID[:]), "A2-")
		}
	}
	eventually(t, "aria2 joined", one(Joined))
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	eventually(t, "aria2 said goodbye", one(Gone))
}
