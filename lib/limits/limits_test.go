// SPDX-License-Identifier: GPL-2.0-or-later

package limits

import (
	"math"
	"os"
	"path/filepath"
	"testing"
)

func TestSmallestLimitOfAllGroups(t *testing.T) {
	for _, c := range []struct {
		name  string
		list  string
		files map[string]string
		want  int64
	}{
		{"none", "0::/\n", nil, math.MaxInt64},
		{"version 2", "0::/a/b\n", map[string]string{"a/b/memory.max": "1000\n"}, 1000},
		{"no limit", "0::/a\n", map[string]string{"a/memory.max": "max\n"}, math.MaxInt64},
		{"of a parent", "0::/a/b\n", map[string]string{"a/memory.max": "500\n", "a/b/memory.max": "max\n"}, 500},
		{"not of a child", "0::/a\n", map[string]string{"a/memory.max": "500\n", "a/b/memory.max": "1\n"}, 500},
		{"version 1", "9:cpu:/x\n4:memory:/a\n0::/\n", map[string]string{"memory/a/memory.limit_in_bytes": "700"}, 700},
		{"version 1, joined controllers", "4:cpu,memory:/a\n", map[string]string{"memory/a/memory.limit_in_bytes": "700"}, 700},
		{"inside a container", "4:memory:/docker/123\n", map[string]string{"memory/memory.limit_in_bytes": "300"}, 300},
		{"a path that climbs", "0::/../../etc\n", map[string]string{"memory.max": "9"}, 9},
		{"nonsense", "x\n0:\n0::/a\n", map[string]string{"a/memory.max": "-5"}, math.MaxInt64},
	} {
		root := t.TempDir()
		for name, text := range c.files {
			path := filepath.Join(root, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got := grouped(root, []byte(c.list)); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func TestThisProcessHasSome(t *testing.T) {
	if Memory() < 1<<20 || Files() < 3 {
		t.Errorf("%d bytes, %d files", Memory(), Files())
	}
}
