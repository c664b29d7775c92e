// SPDX-License-Identifier: GPL-2.0-or-later

package btfiles

import (
	"container/list"
	"errors"
	"os"
	"sync"

	"ezio/lib/limits"
)

// maxOpen is how many files of a directory stay open when nobody reads them. A process may have
// 1024 by default, and a directory may have a hundred times as many.
const maxOpen = 200

// openFiles keeps the files used last open. A file being read is never closed, so for a moment
// there may be more than limit of them: one for each reader.
type openFiles struct {
	root  *os.Root
	limit int

	mu     sync.Mutex
	byName map[string]*openFile
	idle   *list.List // of *openFile with no reader, the one used longest ago in front
}

type openFile struct {
	*os.File
	name    string
	readers int
	place   *list.Element // in idle, or nil
}

func newOpenFiles(root *os.Root) *openFiles {
	limit := min(maxOpen, int(limits.Files()/4)) // connections need some too
	return &openFiles{root: root, limit: limit, byName: map[string]*openFile{}, idle: list.New()}
}

// get opens a file, or finds it open. Every get is followed by a put.
func (o *openFiles) get(name string) (*openFile, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f, ok := o.byName[name]
	if !ok {
		file, err := o.root.Open(name)
		if err != nil {
			return nil, err
		}
		f = &openFile{File: file, name: name}
		o.byName[name] = f
	}
	f.readers++
	if f.place != nil {
		o.idle.Remove(f.place)
		f.place = nil
	}
	o.evict()
	return f, nil
}

func (o *openFiles) put(f *openFile) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if f.readers--; f.readers == 0 {
		f.place = o.idle.PushBack(f)
	}
}

// evict closes idle files until the limit is kept. They were only read: a failing close loses
// nothing.
func (o *openFiles) evict() {
	for len(o.byName) > o.limit && o.idle.Len() > 0 {
		f := o.idle.Remove(o.idle.Front()).(*openFile)
		delete(o.byName, f.name)
		_ = f.Close()
	}
}

func (o *openFiles) close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	err := o.root.Close()
	for _, f := range o.byName {
		err = errors.Join(err, f.Close())
	}
	clear(o.byName)
	o.idle.Init()
	return err
}
