// SPDX-License-Identifier: GPL-2.0-or-later

package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"ezio/lib/disk"
)

// Exit codes, as documented in every tool's help.
const (
	OK          = 0
	Failed      = 1   // failed while working
	Usage       = 2   // the command line is wrong
	Mismatch    = 3   // data does not match the torrent
	Refused     = 4   // target or source refused; nothing was written to it
	Interrupted = 130 // a signal ended it
)

// exitCodes are what the manual pages say of them.
var exitCodes = []struct {
	code    int
	meaning string
}{
	{OK, "Done"},
	{Failed, "Failed while working"},
	{Usage, "The command line is wrong"},
	{Mismatch, "Data does not match"},
	{Refused, "Target or source refused; nothing was written to it"},
	{Interrupted, "Interrupted by a signal"},
}

// ErrInterrupted is what a run that a signal ended is reported as.
var ErrInterrupted = errors.New("interrupted")

// An Error carries an exit code and, where something can be done about it, a hint.
type Error struct {
	Code int
	Err  error
	Hint string
	// Quiet errors set the exit code and print nothing: the tool has said it all.
	Quiet bool
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// WithHint adds what the user can do.
func (e *Error) WithHint(format string, args ...any) *Error {
	e.Hint = fmt.Sprintf(format, args...)
	return e
}

// Usagef is an error in the command line: exit code 2.
func Usagef(format string, args ...any) *Error {
	return &Error{Code: Usage, Err: fmt.Errorf(format, args...)}
}

// Failf is a failure while working: exit code 1.
func Failf(format string, args ...any) *Error {
	return &Error{Code: Failed, Err: fmt.Errorf(format, args...)}
}

// Refusef is a target or source that the tool will not touch: exit code 4.
func Refusef(format string, args ...any) *Error {
	return &Error{Code: Refused, Err: fmt.Errorf(format, args...)}
}

// Code is the exit code for an error, the one place where that is decided.
func Code(err error) int {
	var e *Error
	var refused *disk.RefusedError
	switch {
	case err == nil:
		return OK
	case errors.As(err, &e):
		return e.Code
	case errors.As(err, &refused):
		return Refused
	case errors.Is(err, context.Canceled), errors.Is(err, ErrInterrupted):
		return Interrupted
	}
	return Failed
}

// Hint is the hint an error carries, or "".
func Hint(err error) string {
	var e *Error
	var refused *disk.RefusedError
	switch {
	case errors.As(err, &e) && e.Hint != "":
		return e.Hint
	case errors.As(err, &refused):
		return refused.Hint
	}
	return ""
}

// Silent says whether an error only sets the exit code.
func Silent(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Quiet
}

// oneLine keeps an error on its line, whatever a library or a hostile file put in it.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.TrimSpace(s))
}
