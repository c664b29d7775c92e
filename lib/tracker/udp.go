// SPDX-License-Identifier: GPL-2.0-or-later

package tracker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"time"

	"github.com/anacrolix/torrent/tracker/shared"
	"github.com/anacrolix/torrent/tracker/udp"
)

// udpTracker announces over UDP (BEP 15). Packets are the library's; its client is not used: it
// resends only after 15 s, cannot tell that nobody listens, and a packet that comes three times
// locks it for good.
//
// Each announce has a socket of its own, connected to the tracker: so the kernel drops what others
// send and tells when the port is closed, and a network that changes between announces does no
// harm. It costs one more round trip, for a connection id, than keeping the last one would.
type udpTracker struct {
	dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

const (
	udpResend    = time.Second // doubled for each further packet; BEP 15's 15 s is for another age
	maxUDPPacket = 64 << 10
)

func (t udpTracker) announce(ctx context.Context, u *url.URL, r request) (answer, error) {
	conn, err := t.dial(ctx, "udp", u.Host)
	if err != nil {
		return answer{}, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	body, err := exchange(ctx, conn, udp.ConnectRequestConnectionId, udp.ActionConnect, nil)
	if err != nil {
		return answer{}, err
	}
	var id udp.ConnectionResponse
	if err := udp.Read(bytes.NewReader(body), &id); err != nil {
		return answer{}, fmt.Errorf("read connection id: %w", err)
	}
	packet, err := r.packet(u)
	if err != nil {
		return answer{}, err
	}
	body, err = exchange(ctx, conn, id.ConnectionId, udp.ActionAnnounce, packet)
	if err != nil {
		return answer{}, err
	}
	width := 4
	if a, ok := conn.RemoteAddr().(*net.UDPAddr); ok && a.IP.To4() == nil {
		width = 16
	}
	return parseUDPAnswer(body, width)
}

// packet is the announce after its header.
func (r request) packet(u *url.URL) ([]byte, error) {
	want := int32(-1) // as the tracker likes
	if r.event == shared.Stopped {
		want = 0
	}
	var b bytes.Buffer
	err := udp.Write(&b, udp.AnnounceRequest{
		InfoHash: r.infoHash, PeerId: r.id, Port: r.port, Key: int32(r.key), Event: r.event, NumWant: want,
		Downloaded: r.stats.Downloaded, Uploaded: r.stats.Uploaded, Left: r.stats.Left,
	})
	if err != nil {
		return nil, fmt.Errorf("encode announce: %w", err)
	}
	if path := u.RequestURI(); path != "/" {
		b.Write(udp.Options{RequestUri: path}.Encode())
	}
	return b.Bytes(), nil
}

// exchange sends a request until it is answered or ctx ends, and returns the answer's body.
func exchange(ctx context.Context, conn net.Conn, id udp.ConnectionId, action udp.Action, body []byte) ([]byte, error) {
	h := udp.RequestHeader{ConnectionId: id, Action: action, TransactionId: int32(rand.Uint32())}
	var b bytes.Buffer
	if err := udp.Write(&b, h); err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	b.Write(body)
	for wait := udpResend; ; wait *= 2 {
		if _, err := conn.Write(b.Bytes()); err != nil {
			return nil, errors.Join(ctx.Err(), err)
		}
		if err := conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
			return nil, err
		}
		// The end of ctx sets a deadline too. If it did before ours was set, this sees it.
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		answer, err := receive(conn, h)
		if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
			return answer, err
		}
	}
}

// receive waits for the answer to h. Anything else is passed over: late answers, doubles, noise.
func receive(conn net.Conn, h udp.RequestHeader) ([]byte, error) {
	b := make([]byte, maxUDPPacket)
	for {
		n, err := conn.Read(b)
		if err != nil {
			return nil, err
		}
		r := bytes.NewReader(b[:n])
		var got udp.ResponseHeader
		if udp.Read(r, &got) != nil || got.TransactionId != h.TransactionId {
			continue
		}
		rest := b[n-r.Len() : n]
		switch got.Action {
		case h.Action:
			return rest, nil
		case udp.ActionError:
			return nil, failureReason(bytes.TrimRight(rest, "\x00"))
		}
	}
}

func parseUDPAnswer(body []byte, width int) (answer, error) {
	r := bytes.NewReader(body)
	var h udp.AnnounceResponseHeader
	if err := udp.Read(r, &h); err != nil {
		return answer{}, fmt.Errorf("read announce answer: %w", err)
	}
	peers, err := parseCompact(body[len(body)-r.Len():], width)
	return answer{
		interval: seconds(int64(h.Interval)),
		seeds:    max(0, int(h.Seeders)),
		leeches:  max(0, int(h.Leechers)),
		peers:    peers,
	}, err
}
