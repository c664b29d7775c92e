// SPDX-License-Identifier: GPL-2.0-or-later

package tracker

import (
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

var (
	hostName = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_.])?$`)
	portText = regexp.MustCompile(`^[1-9][0-9]{0,4}$`)
)

// cleanHost accepts what may stand between `http://` and the next slash: a name or an address, in
// brackets if it is IPv6, and perhaps a port. It goes into a torrent and into a command that
// people paste into a shell, so nothing else passes.
func cleanHost(h string) (string, bool) {
	host, port, bracket := h, "", strings.HasPrefix(h, "[")
	if bracket {
		end := strings.IndexByte(h, ']')
		if end < 0 {
			return "", false
		}
		host, port = h[1:end], h[end+1:]
	} else if i := strings.IndexByte(h, ':'); i >= 0 {
		host, port = h[:i], h[i:]
	}
	if port != "" {
		n, err := strconv.Atoi(strings.TrimPrefix(port, ":"))
		if port[0] != ':' || !portText.MatchString(port[1:]) || err != nil || n > 65535 {
			return "", false
		}
	}
	if !bracket {
		return h, hostName.MatchString(host)
	}
	ip, err := netip.ParseAddr(host)
	return h, err == nil && ip.Is6() && ip.Zone() == ""
}

// Host is this server's name as the client knows it: what it asked for, or else the address and
// port at which it reached us. Empty when neither is known. It is safe in a URL and in a shell word.
func Host(r *http.Request) string {
	if h, ok := cleanHost(r.Host); ok {
		return h
	}
	a, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	if !ok {
		return ""
	}
	return net.JoinHostPort(ipOf(a).String(), strconv.Itoa(a.Port))
}

// fileName is a torrent's name as one harmless path element and shell word, with .torrent.
func fileName(name string) string {
	clean := strings.Map(func(c rune) rune {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '_', c == '-':
			return c
		}
		return '-'
	}, name)
	clean = strings.Trim(clean, ".-")
	if len(clean) > 64 {
		clean = strings.TrimRight(clean[:64], ".-")
	}
	if clean == "" {
		clean = "a"
	}
	return clean + ".torrent"
}

// freeName is a file name for a torrent that no other of the same server has.
func freeName(name string, taken map[string]bool) string {
	file := fileName(name)
	for n := 2; taken[file]; n++ {
		file = strings.TrimSuffix(fileName(name), ".torrent") + "-" + strconv.Itoa(n) + ".torrent"
	}
	taken[file] = true
	return file
}
