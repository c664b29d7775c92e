#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""libtorrent_create.py INFO: the calls by which EZIO's script makes a torrent of torrent.info; prints
how many seconds they took, without reading the file and without Python's start."""
import re
import sys
import time

import libtorrent as lt

data = open(sys.argv[1]).read()
sums = re.findall(r"^sha1: (.*)$", data, re.M)
offsets = re.findall(r"^offset: (.*)$", data, re.M)
lengths = re.findall(r"^length: (.*)$", data, re.M)
start = time.monotonic()
storage = lt.file_storage()
storage.set_piece_length(16 << 20)
for offset, length in zip(offsets, lengths):
    storage.add_file("root/" + offset, int(length, 16))
torrent = lt.create_torrent(storage, 16 << 20, flags=lt.create_torrent.v1_only)
torrent.set_creator("bench")
for index, sum in enumerate(sums):
    torrent.set_hash(index, bytes.fromhex(sum))
out = lt.bencode(torrent.generate())
print(time.monotonic() - start, len(out))
