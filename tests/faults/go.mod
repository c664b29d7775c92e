module ezio/tests/faults

go 1.26.0

require (
	ezio v0.0.0
	github.com/hanwen/go-fuse/v2 v2.12.1
)

require (
	github.com/anacrolix/missinggo v1.3.0 // indirect
	github.com/anacrolix/missinggo/v2 v2.10.0 // indirect
	github.com/anacrolix/torrent v1.61.0 // indirect
	github.com/huandu/xstrings v1.3.2 // indirect
	github.com/jackpal/bencode-go v1.0.2 // indirect
	golang.org/x/sys v0.49.0 // indirect
)

replace ezio => ../..
