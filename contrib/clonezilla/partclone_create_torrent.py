#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# partclone_create_torrent.py -p NAME -c CREATOR -o FILE [-i torrent.info] [-t TRACKER]: ezio-mktorrent
# by the name and with the options of EZIO's script. The infohash is the same.

usage="usage: partclone_create_torrent.py -p PARTITION_NAME -o FILE -c CREATOR [-i torrent.info] [-t TRACKER]"
options=$(getopt -n partclone_create_torrent.py -o hp:o:c:i:t: \
	-l help,partition-name:,output-file:,creator:,input-file:,tracker: -- "$@") || { echo "$usage" >&2; exit 2; }
eval set -- "$options"
name= out= creator= in=() tracker=()
while [ "$1" != -- ]; do
	case $1 in
	-h | --help) echo "$usage"; exit 0 ;;
	-p | --partition-name) name=${2//\//-}; shift ;; # vg/root, as Clonezilla names files: vg-root
	-o | --output-file) out=$2; shift ;;
	-c | --creator) creator=$2; shift ;;
	-i | --input-file) in=("$2"); shift ;;
	-t | --tracker) tracker=(-t "$2"); shift ;;
	esac
	shift
done
if [ $# -gt 1 ] || [ -z "$name" ] || [ -z "$out" ] || [ -z "$creator" ]; then
	echo "$usage" >&2
	exit 2
fi
ezio-mktorrent -q -n "$name" -c "$creator" -o "$out" "${tracker[@]}" -- "${in[@]}" || exit
echo "$out created successfully"
