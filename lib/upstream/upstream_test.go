// SPDX-License-Identifier: GPL-2.0-or-later

package upstream

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func TestOutputDir(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"partclone.extfs", "-c", "-T", "-s", "/dev/sda1", "-o", "t/"}, "/cwd/t"},
		{[]string{"partclone.extfs", "-cTs", "/dev/sda1", "-o", "/abs"}, "/abs"},
		{[]string{"partclone.extfs", "-cTo", "t"}, "/cwd/t"},
		{[]string{"partclone.extfs", "-ot"}, "/cwd/t"},
		{[]string{"partclone.extfs", "-O", "t"}, "/cwd/t"},
		{[]string{"partclone.extfs", "--output", "t"}, "/cwd/t"},
		{[]string{"partclone.extfs", "--output=t"}, "/cwd/t"},
		{[]string{"partclone.extfs", "--overwrite=t"}, "/cwd/t"},
		{[]string{"partclone.extfs", "--out", "t"}, "/cwd/t"},
		{[]string{"partclone.extfs", "-o", "a", "-o", "b"}, "/cwd/b"},
		{[]string{"sudo", "partclone.extfs", "-c", "-T", "-s", "/dev/sda1", "-o", "t"}, "/cwd/t"},
		{[]string{"partclone.extfs", "--offset=12", "-s", "/dev/sda1"}, ""},
		{[]string{"partclone.extfs", "-s", "/dev/so"}, ""},
		{[]string{"partclone.extfs", "-s/dev/loop0"}, ""},
		{[]string{"partclone.extfs", "-L", "foo.log", "-o", "-"}, ""},
		{[]string{"partclone.extfs", "-o"}, ""},
		{nil, ""},
	} {
		if got := (Process{Args: c.args, Dir: "/cwd"}).OutputDir(); got != c.want {
			t.Errorf("%q: %q, want %q", c.args, got, c.want)
		}
	}
}

// A real child at the other end of a real pipe, begun after the watch and replaced by exec.
func TestWatchFindsTheProgramBehindAnExec(t *testing.T) {
	dir := t.TempDir()
	old := filepath.Join(dir, "old")
	for _, d := range []string{old, filepath.Join(dir, "new")} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	stale := filepath.Join(old, "torrent.info")
	if err := os.WriteFile(stale, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(stale, time.Time{}, time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	watch := Watch(r)
	if watch == nil {
		t.Fatal("a pipe is not watched")
	}
	// The shell becomes a program whose arguments look like partclone's; it ends when its stdin does.
	cmd := exec.Command("sh", "-c", `(exec sh -c 'read x; exit 0' prog -o old) & exec sh -c 'read x; echo >new/torrent.info' prog -o new`)
	cmd.Dir, cmd.Stdout = dir, w
	hold, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	deadline := time.After(60 * time.Second)
	second := func(p Process) bool { return p.OutputDir() == filepath.Join(dir, "new") }
	for !slices.ContainsFunc(watch.list(), second) {
		select {
		case <-deadline:
			t.Fatalf("never seen at the other end; seen: %+v", watch.list())
		case <-time.After(5 * time.Millisecond):
		}
	}
	io.WriteString(hold, "\n\n")
	hold.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(r); err != nil {
		t.Fatal(err)
	}
	seen := watch.Stop()
	got := watch.Infos(seen)
	if want := filepath.Join(dir, "new", "torrent.info"); len(got) != 1 || got[0] != want {
		t.Fatalf("found %q in %+v, want %q", got, seen, want)
	}
}

func TestOnlyPipesAreWatched(t *testing.T) {
	f, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := Watch(f)
	if w != nil || w.Stop() != nil || Watch(nil) != nil {
		t.Error("no pipe, yet something is watched")
	}
}
