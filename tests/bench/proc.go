// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Command is how a contestant wants one of its programs started and understood.
type Command struct {
	Args []string
	// Outputs are the files it writes; their concatenation must equal the image.
	Outputs []string
	// Ready recognises the line after which the program can take part; nil waits for an event
	// "ready" on its standard output.
	Ready func(line string) bool
	// Listens are TCP ports; when set, being ready is having all of them open.
	Listens []int
	// Begins recognises the seed's line at which its transfer begins, when finding each other before
	// that has pauses that are not the network's; nil: at once.
	Begins func(line string) bool
	// DoneOnExit takes the end of the process for the end of the transfer, for programs that
	// report nothing else.
	DoneOnExit bool
}

// Proc is a running program and what it has cost so far.
type Proc struct {
	Command
	cmd     *exec.Cmd
	stdin   io.WriteCloser
	log     *os.File
	ready   chan struct{} // closed when ready
	begins  chan struct{} // closed when its transfer begins
	done    chan struct{} // closed when it has the whole image
	exited  chan struct{} // closed when waited for
	started time.Time

	readyOnce, beginsOnce, doneOnce sync.Once
	sampling                        chan struct{} // closed when nobody samples its memory any more

	mu       sync.Mutex
	doneAt   time.Time
	waitErr  error
	baseCPU  time.Duration
	rss      int64
	anon     int64
	stopping bool
}

// Event is a line of JSON that a program prints; ours and the ones of this benchmark agree on it.
type Event struct {
	Event string    `json:"event"`
	Time  time.Time `json:"time"`
}

// Start runs a command in a machine's namespace. Its output goes to a log file.
func (n *Node) Start(c Command, logPath string) (*Proc, error) {
	log, err := os.Create(logPath)
	if err != nil {
		return nil, err
	}
	// ip netns exec replaces itself by the program, so the process id is the program's.
	cmd := exec.Command("ip", append([]string{"netns", "exec", n.NS}, c.Args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	p := &Proc{Command: c, cmd: cmd, log: log,
		ready: make(chan struct{}), begins: make(chan struct{}), done: make(chan struct{}), exited: make(chan struct{}), sampling: make(chan struct{})}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	p.stdin = stdin
	p.started = time.Now()
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, log.Close())
	}
	var readers sync.WaitGroup
	readers.Go(func() { p.read(stdout) })
	readers.Go(func() { p.read(stderr) })
	go p.sample()
	if len(c.Listens) > 0 {
		go p.watchPorts()
	}
	go p.wait(&readers)
	return p, nil
}

func (p *Proc) pid() int { return p.cmd.Process.Pid }

// Go tells a program that waits on its standard input to begin.
func (p *Proc) Go() error {
	_, err := io.WriteString(p.stdin, "go\n")
	return err
}

func (p *Proc) read(r io.Reader) {
	in := bufio.NewScanner(r)
	in.Split(scanLinesOrReturns)
	for in.Scan() {
		line := in.Text()
		fmt.Fprintln(p.log, line)
		if p.Ready != nil && p.Ready(line) {
			p.markReady()
		}
		if p.Begins != nil && p.Begins(line) {
			p.beginsOnce.Do(func() { close(p.begins) })
		}
		var e Event
		if !strings.HasPrefix(line, "{") || json.Unmarshal([]byte(line), &e) != nil {
			continue
		}
		switch e.Event {
		case "ready":
			p.markReady()
		case "done":
			p.markDone(e.Time)
		}
	}
	io.Copy(io.Discard, r) // a line too long must not stop the program
}

// scanLinesOrReturns also ends a line at a carriage return, with which programs redraw one.
func scanLinesOrReturns(data []byte, atEOF bool) (int, []byte, error) {
	for i, b := range data {
		if b == '\n' || b == '\r' {
			return i + 1, data[:i], nil
		}
	}
	if atEOF && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}

func (p *Proc) markReady() { p.readyOnce.Do(func() { close(p.ready) }) }

func (p *Proc) markDone(at time.Time) {
	p.doneOnce.Do(func() {
		p.mu.Lock()
		p.doneAt = at
		p.mu.Unlock()
		close(p.done)
	})
}

// DoneAt is when it had the whole image; zero before.
func (p *Proc) DoneAt() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.doneAt
}

func (p *Proc) wait(readers *sync.WaitGroup) {
	readers.Wait() // before Wait, which closes the pipes
	err := p.cmd.Wait()
	now := time.Now()
	p.mu.Lock()
	p.waitErr = err
	p.mu.Unlock()
	if p.DoneOnExit && err == nil {
		p.markDone(now)
	}
	p.log.Close()
	close(p.exited)
}

// watchPorts reads the namespace's own list of sockets, so that no probe ever reaches the program.
func (p *Proc) watchPorts() {
	for {
		open := 0
		for _, port := range p.Listens {
			if listening(p.pid(), port) {
				open++
			}
		}
		if open == len(p.Listens) {
			p.markReady()
			return
		}
		select {
		case <-p.exited:
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func listening(pid, port int) bool {
	suffix := fmt.Sprintf(":%04X", port)
	for _, family := range []string{"tcp", "tcp6"} {
		table, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, family))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(table)) {
			f := strings.Fields(line) // sl local_address rem_address st …; state 0A is LISTEN
			if len(f) > 3 && f[3] == "0A" && strings.HasSuffix(f[1], suffix) {
				return true
			}
		}
	}
	return false
}

// Signal sends a signal to the program alone.
func (p *Proc) Signal(s syscall.Signal) error {
	p.expectEnd()
	p.readMemory()
	return p.cmd.Process.Signal(s)
}

func (p *Proc) expectEnd() {
	p.mu.Lock()
	p.stopping = true
	p.mu.Unlock()
}

// Stop ends the program: politely first, so that it flushes what it holds.
func (p *Proc) Stop() {
	select {
	case <-p.exited:
		return
	default:
	}
	if err := p.Signal(syscall.SIGTERM); err == nil {
		select {
		case <-p.exited:
			return
		case <-time.After(5 * time.Second):
		}
	}
	// The group, since a program may have started others.
	_ = syscall.Kill(-p.pid(), syscall.SIGKILL)
	<-p.exited
}

// Died says why a program ended that nobody asked to; nil when it did not, or did its work.
func (p *Proc) Died() error {
	select {
	case <-p.exited:
	default:
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopping || (p.DoneOnExit && p.waitErr == nil) {
		return nil
	}
	return fmt.Errorf("%s ended too early (%v); its last words:\n%s", p.Args[0], p.cmd.ProcessState, tail(p.log.Name(), 5))
}

func tail(path string, lines int) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimSpace(string(data)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
