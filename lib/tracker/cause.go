// SPDX-License-Identifier: GPL-2.0-or-later

package tracker

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
	"unicode"
)

// cause is the part of an error that helps whoever reads it: what went wrong at the far end,
// without the layers through which it came. The tracker's URL is said beside it.
func cause(err error) string {
	var (
		refused failureReason
		dns     *net.DNSError
		errno   syscall.Errno
		cert    *tls.CertificateVerificationError
		timeout interface{ Timeout() bool }
	)
	switch {
	case errors.As(err, &refused):
		if s := printable(string(refused)); s != "" {
			return s
		}
		return "refused without a reason"
	case errors.As(err, &dns) && dns.IsNotFound:
		return "no such host: " + printable(dns.Name)
	case errors.As(err, &errno):
		return errno.Error()
	case errors.As(err, &cert):
		return printable(cert.Error())
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded),
		errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	}
	for {
		inner := errors.Unwrap(err)
		if inner == nil || !plumbing(err) {
			return printable(err.Error())
		}
		err = inner
	}
}

// plumbing are the wrappers that net and net/http put around what matters.
func plumbing(err error) bool {
	switch err.(type) {
	case *net.OpError, interface{ Temporary() bool }:
		return true
	}
	return false
}

// printable is somebody else's text made fit for a line on a terminal.
func printable(s string) string {
	const longest = 200
	clean := strings.Map(func(c rune) rune {
		if unicode.IsPrint(c) {
			return c
		}
		return ' '
	}, strings.ToValidUTF8(s, "?"))
	if r := []rune(strings.TrimSpace(clean)); len(r) > longest {
		return string(r[:longest]) + "..."
	}
	return strings.TrimSpace(clean)
}
