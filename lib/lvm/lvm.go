// SPDX-License-Identifier: GPL-2.0-or-later

// Package lvm reads what vgcfgbackup writes of a volume group of LVM2, says where its logical volumes lie
// on its physical volumes, and makes the metadata by which these are found, as pvcreate --restorefile
// and vgcfgrestore would write them.
//
// The text is outside input. Invariants of every Group: sizes and offsets are bounded so that no sum
// overflows; a logical volume's segments follow each other from 0 and lie within their physical volume.
package lvm

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

const (
	sector = 512 // bytes; LVM counts in these whatever the disk's are
	limit  = math.MaxInt64 / 8
)

// A Group is a volume group.
type Group struct {
	Name     string
	Physical []Physical
	Logical  []Logical

	extent int64  // bytes
	text   []byte // of its section
	rest   []byte // what precedes that: comments, and what the text is
}

// A Physical is a physical volume.
type Physical struct {
	Name string // in this text only: pv0
	ID   string // with its six dashes
	Size int64  // bytes of the device it was on
	data int64  // bytes before its first extent
	n    int64  // extents
}

// A Logical is a logical volume.
type Logical struct {
	Name     string
	Kind     string // linear, or the type of segment that is not, such as thin
	Visible  bool   // not a part of another one
	Size     int64  // bytes
	Segments []Segment
}

// A Segment is where a run of bytes of a linear logical volume is.
type Segment struct {
	Offset, Length int64  // bytes, in the logical volume
	Physical       string // name of the physical volume
	At             int64  // bytes from its beginning
}

// Parse reads the text of a backup, of a group by name.
func Parse(text []byte, name string) (*Group, error) {
	root, err := parse(text)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(root.sections, func(n named) bool { return n.name == name })
	if i < 0 || root.strings["contents"] != "Text Format Volume Group" || root.numbers["version"] != 1 {
		return nil, errNoGroup
	}
	g := &Group{Name: name}
	if err := g.cut(text); err != nil {
		return nil, err
	}
	vg := root.sections[i]
	if g.extent, err = vg.bytes("extent_size", sector); err != nil {
		return nil, err
	}
	if g.extent == 0 {
		return nil, fmt.Errorf("extents of 0 bytes")
	}
	for _, pv := range vg.sub("physical_volumes").sections {
		if err := g.physical(pv); err != nil {
			return nil, fmt.Errorf("physical volume %s: %w", pv.name, err)
		}
	}
	for _, lv := range vg.sub("logical_volumes").sections {
		if err := g.logical(lv); err != nil {
			return nil, fmt.Errorf("logical volume %s: %w", lv.name, err)
		}
	}
	return g, nil
}

// cut finds the group's section in the text: on the disk it comes first.
func (g *Group) cut(text []byte) error {
	p := &parser{text: text}
	for p.next(); p.kind != 0; p.next() {
		if p.kind == 'w' && p.token == g.Name {
			from := p.from
			if p.next(); p.kind == '{' {
				p.section(1)
				g.text, g.rest = text[from:p.at], text[:from]
				if strings.TrimSpace(string(text[p.at:])) != "" {
					return fmt.Errorf("there is something behind the group %s", g.Name)
				}
				return p.err
			}
		}
	}
	return errNoGroup
}

// bytes is a number of units.
func (s *section) bytes(name string, unit int64) (int64, error) {
	n, ok := s.numbers[name]
	if !ok || n < 0 || n > limit/unit {
		return 0, fmt.Errorf("%s is missing or out of range", name)
	}
	return n * unit, nil
}

func (g *Group) physical(s named) error {
	pv := Physical{Name: s.name, ID: s.strings["id"]}
	var err error
	if pv.Size, err = s.bytes("dev_size", sector); err != nil {
		return err
	}
	if pv.data, err = s.bytes("pe_start", sector); err != nil {
		return err
	}
	if pv.n, err = s.bytes("pe_count", 1); err != nil {
		return err
	}
	if pv.n > limit/g.extent || pv.data+pv.n*g.extent > pv.Size {
		return fmt.Errorf("%d extents of %d bytes from %d do not fit its %d bytes", pv.n, g.extent, pv.data, pv.Size)
	}
	if len(rawID(pv.ID)) != 32 {
		return fmt.Errorf("its id %.60q is none", pv.ID)
	}
	g.Physical = append(g.Physical, pv)
	return nil
}

// rawID is an id as it is on the disk.
func rawID(id string) string { return strings.ReplaceAll(id, "-", "") }

func (g *Group) logical(s named) error {
	lv := Logical{Name: s.name, Kind: "linear", Visible: slices.Contains(s.lists["status"], "VISIBLE")}
	for _, seg := range s.sections {
		first, err := seg.bytes("start_extent", g.extent)
		if err != nil {
			return err
		}
		length, err := seg.bytes("extent_count", g.extent)
		if err != nil {
			return err
		}
		if first != lv.Size || length > limit-first {
			return fmt.Errorf("its segments do not follow each other")
		}
		lv.Size += length
		stripes := seg.lists["stripes"]
		if kind := seg.strings["type"]; kind != "striped" || seg.numbers["stripe_count"] != 1 || len(stripes) != 2 {
			lv.Kind = kind
			continue
		}
		at, err := g.place(stripes[0], stripes[1], length)
		if err != nil {
			return err
		}
		lv.Segments = append(lv.Segments, Segment{first, length, stripes[0], at})
	}
	g.Logical = append(g.Logical, lv)
	return nil
}

// place is where length bytes from an extent of a physical volume begin.
func (g *Group) place(name, extent string, length int64) (int64, error) {
	i := slices.IndexFunc(g.Physical, func(pv Physical) bool { return pv.Name == name })
	n, err := strconv.ParseInt(extent, 10, 64)
	if i < 0 || err != nil || n < 0 || n > g.Physical[i].n || length > (g.Physical[i].n-n)*g.extent {
		return 0, fmt.Errorf("it is not on %.40q", name)
	}
	return g.Physical[i].data + n*g.extent, nil
}
