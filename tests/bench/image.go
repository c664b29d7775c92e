// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/anacrolix/torrent/bencode"
	"github.com/anacrolix/torrent/metainfo"
	"golang.org/x/sync/errgroup"
)

const (
	mib       = 1 << 20
	gib       = 1 << 30
	imageName = "root"
	page      = 4096
)

// Image is random data to deploy, in the forms the contestants take it in: a raw image, and a
// directory with one file for each extent. The extents touch, so that image space, the raw image
// and the files in their order are the same bytes.
type Image struct {
	Size     int64
	Raw      string   // path of the raw image
	Parent   string   // directory that holds the directory called imageName
	Files    []string // names of the extents' files, in order
	lengths  []int64
	torrents map[int64]string // piece length → path of the .torrent
	dir      string
}

// NewImage writes an image of so many bytes below dir.
func NewImage(dir string, size int64) (*Image, error) {
	dir, err := os.MkdirTemp(dir, "image-")
	if err != nil {
		return nil, err
	}
	im := &Image{Size: size, Raw: filepath.Join(dir, "disk.img"), Parent: dir, torrents: map[int64]string{}, dir: dir}
	if err := im.write(); err != nil {
		return nil, errors.Join(err, im.Remove())
	}
	return im, nil
}

// Remove gives the memory back.
func (im *Image) Remove() error { return os.RemoveAll(im.dir) }

func (im *Image) write() error {
	if err := os.Mkdir(filepath.Join(im.Parent, imageName), 0o755); err != nil {
		return err
	}
	raw, err := os.Create(im.Raw)
	if err != nil {
		return err
	}
	random := rand.NewChaCha8([32]byte{})
	offset := int64(0)
	for _, n := range extentLengths(im.Size) {
		name := fmt.Sprintf("%032x", offset)
		err := writeRandom(filepath.Join(im.Parent, imageName, name), raw, random, n)
		if err != nil {
			raw.Close()
			return err
		}
		im.Files, im.lengths = append(im.Files, name), append(im.lengths, n)
		offset += n
	}
	return raw.Close()
}

// extentLengths cuts an image at odd places, as a filesystem does, so that some pieces span two
// extents.
func extentLengths(size int64) []int64 {
	var lengths []int64
	for left := size; left > 0; {
		n := left / 3 / page * page
		if n < mib || len(lengths) == 7 {
			n = left
		}
		lengths = append(lengths, n)
		left -= n
	}
	return lengths
}

func writeRandom(path string, raw io.Writer, random io.Reader, n int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = io.CopyN(io.MultiWriter(f, raw), bufio.NewReaderSize(random, mib), n)
	return errors.Join(err, f.Close())
}

// Torrent makes the image's .torrent with pieces of that length and returns its path.
func (im *Image) Torrent(pieceLength int64) (string, error) {
	if path, ok := im.torrents[pieceLength]; ok {
		return path, nil
	}
	sums, err := hashPieces(im.Raw, im.Size, pieceLength)
	if err != nil {
		return "", err
	}
	info := metainfo.Info{Name: imageName, PieceLength: pieceLength, Pieces: sums}
	for i, name := range im.Files {
		info.Files = append(info.Files, metainfo.FileInfo{Path: []string{name}, Length: im.lengths[i]})
	}
	var mi metainfo.MetaInfo
	if mi.InfoBytes, err = bencode.Marshal(info); err != nil {
		return "", err
	}
	path := filepath.Join(im.dir, fmt.Sprintf("%d.torrent", pieceLength))
	f, err := os.Create(path)
	if err != nil {
		return "", err
	}
	if err := errors.Join(mi.Write(f), f.Close()); err != nil {
		return "", err
	}
	im.torrents[pieceLength] = path
	return path, nil
}

func hashPieces(path string, size, pieceLength int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	sums := make([]byte, (size+pieceLength-1)/pieceLength*sha1.Size)
	var g errgroup.Group
	g.SetLimit(runtime.NumCPU())
	for off := int64(0); off < size; off += pieceLength {
		g.Go(func() error {
			h := sha1.New()
			_, err := io.Copy(h, io.NewSectionReader(f, off, min(pieceLength, size-off)))
			copy(sums[off/pieceLength*sha1.Size:], h.Sum(nil))
			return err
		})
	}
	return sums, g.Wait()
}

// ExtentFiles are the paths of the extents' files under another parent directory.
func (im *Image) ExtentFiles(parent string) []string {
	paths := make([]string, len(im.Files))
	for i, name := range im.Files {
		paths[i] = filepath.Join(parent, imageName, name)
	}
	return paths
}

// old is what a target holds before: no piece of the image.
var old = bytes.Repeat([]byte("old data"), mib/8)

// LayOld makes the target at path, of the image's size or of that of the extent whose name it has, full
// of old bytes.
func (im *Image) LayOld(path string) error {
	size := im.Size
	if i := slices.Index(im.Files, filepath.Base(path)); i >= 0 {
		size = im.lengths[i]
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	for ; size > 0 && err == nil; size -= int64(len(old)) {
		_, err = f.Write(old[:min(size, int64(len(old)))])
	}
	return errors.Join(err, f.Close())
}
