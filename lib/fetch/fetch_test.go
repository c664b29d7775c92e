// SPDX-License-Identifier: GPL-2.0-or-later

package fetch

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestFileAndStdin(t *testing.T) {
	name := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(name, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	for arg, limit := range map[string]int64{name: 5, "-": 5} {
		b, err := Bytes(ctx, arg, strings.NewReader("hello"), limit)
		if err != nil || string(b) != "hello" {
			t.Errorf("%s: %q, %v", arg, b, err)
		}
		if _, err := Bytes(ctx, arg, strings.NewReader("hello"), limit-1); err == nil {
			t.Errorf("%s: longer than the limit is accepted", arg)
		}
	}
	for _, arg := range []string{filepath.Dir(name), name + ".absent"} {
		if _, err := Bytes(ctx, arg, nil, 10); err == nil || !strings.Contains(err.Error(), arg) {
			t.Errorf("%s: %v", arg, err)
		}
	}
}

func TestHTTP(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("elsewhere")) }))
	defer other.Close()
	mux := http.NewServeMux()
	mux.HandleFunc("/a", func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("hello")) })
	mux.HandleFunc("/moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/a", http.StatusFound) })
	mux.HandleFunc("/round", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/round", http.StatusFound) })
	mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, strings.Replace(other.URL, "127.0.0.1", "localhost", 1), http.StatusFound)
	})
	mux.HandleFunc("/endless", func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			w.Write(make([]byte, 1<<16))
		}
	})
	mux.HandleFunc("/cut", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100")
		w.Write([]byte("only this"))
	})
	s := httptest.NewServer(mux)
	defer s.Close()
	ctx := context.Background()
	for path, want := range map[string]string{"/a": "hello", "/moved": "hello"} {
		if b, err := Bytes(ctx, s.URL+path, nil, 1<<20); err != nil || string(b) != want {
			t.Errorf("%s: %q, %v", path, b, err)
		}
	}
	for path, want := range map[string]string{
		"/absent":  "404",
		"/round":   "redirects",
		"/away":    "redirected away",
		"/endless": "longer than 1048576 bytes",
		"/cut":     "EOF",
	} {
		_, err := Bytes(ctx, s.URL+path, nil, 1<<20)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Count(err.Error(), s.URL) != 1 {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
}

func TestHTTPEndsWithTheContext(t *testing.T) {
	entered := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
	}))
	defer s.Close()
	ctx, cancel := context.WithCancel(context.Background())
	go func() { <-entered; cancel() }()
	start := time.Now()
	if _, err := Bytes(ctx, s.URL, nil, 10); err == nil || !strings.Contains(err.Error(), "canceled") {
		t.Fatalf("%v after %v", err, time.Since(start))
	}
	if !IsURL("TFTP://x/a") || !IsURL("HTTP://x/a") || IsURL("httpd.torrent") || !IsURL("https://x") {
		t.Error("IsURL")
	}
	var none bytes.Buffer
	if _, err := Bytes(context.Background(), "http://127.0.0.1:1/x", &none, 10); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("closed port: %v", err)
	}
}

func TestBeside(t *testing.T) {
	for _, c := range [][3]string{
		{"ezio.conf", "a.torrent", "a.torrent"},
		{"/srv/lab/ezio.conf", "a.torrent", "/srv/lab/a.torrent"},
		{"/srv/lab/ezio.conf", "../a.torrent", "/srv/a.torrent"},
		{"/srv/lab/ezio.conf", "/a.torrent", "/a.torrent"},
		{"/srv/lab/ezio.conf", "http://x/a.torrent", "http://x/a.torrent"},
		{"-", "a.torrent", "a.torrent"},
		{"x/ezio.conf", "-", "-"},
		{"tftp://10.0.0.1/lab/ezio.conf", "a.torrent", "tftp://10.0.0.1/lab/a.torrent"},
		{"tftp://10.0.0.1/lab/ezio.conf", "/a.torrent", "tftp://10.0.0.1/a.torrent"},
		{"http://10.0.0.1:8080/lab/ezio.conf?room=1", "a b:c.torrent", "http://10.0.0.1:8080/lab/a%20b:c.torrent"},
		{"http://10.0.0.1/ezio.conf", "tftp://10.0.0.2/a.torrent", "tftp://10.0.0.2/a.torrent"},
	} {
		if got := Beside(c[0], c[1]); got != c[2] {
			t.Errorf("%s beside %s: %s, want %s", c[1], c[0], got, c[2])
		}
	}
}

func TestTFTPNames(t *testing.T) {
	for _, u := range []string{"tftp://10.0.0.1", "tftp://10.0.0.1/", "tftp:///a", "tftp://10.0.0.1:x/a"} {
		if b, err := Bytes(context.Background(), u, nil, 10); err == nil || !strings.HasPrefix(err.Error(), "get "+u+": ") {
			t.Errorf("%s: %q, %v", u, b, err)
		}
	}
}
