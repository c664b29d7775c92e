#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Help, manual pages and completions, which all come from the tools' own definitions; and what the
# tools do to the machine that they run on.

load helper

TOOLS="ezio-btfiles ezio-mktorrent ezio-seed ezio-recv ezio-verify"

@test "manual pages: no warnings, every option, exit codes, examples" {
	for tool in $TOOLS; do
		$tool --man >$tool.8
		man --warnings -l $tool.8 2>&1 >/dev/null | tee warnings
		[ ! -s warnings ]
		mandoc -T lint -W warning $tool.8
		MANWIDTH=120 man -l $tool.8 | col -bx >$tool.txt
		for option in $($tool --help | grep -oE '^ +(-., )?--[a-z-]+' | grep -oE -- '--[a-z-]+'); do
			grep -qE "^ +(-., )?$option( |$)" $tool.txt || { echo "$tool: $option is not in its page"; false; }
		done
		grep -qE "^ +130 +Interrupted" $tool.txt
		grep -qE "^ {8,}(.*\| )?$tool " $tool.txt # an example
		for section in NAME SYNOPSIS DESCRIPTION OPTIONS "EXIT STATUS" FILES ENVIRONMENT "SEE ALSO"; do
			grep -qx "$section" $tool.txt || { echo "$tool: no $section"; false; }
		done
	done
}

# bash_completes WORDS... WANT: what bash offers for the last of the words.
bash_completes() {
	local want=${*: -1}
	local got
	got=$(bash --norc -c '
		source <("$1" --completion bash)
		COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
		_${1//-/_} 2>&1
		echo "${COMPREPLY[@]}"' bash "${@:1:$#-1}")
	[ "$got" = "$want" ] || { echo "bash offers '$got' for '${*:1:$#-1}', not '$want'"; false; }
}

@test "bash completes options, files, words and interfaces" {
	touch a.torrent 'b c.torrent'
	bash_completes ezio-seed --pro --progress
	bash_completes ezio-seed --progress p plain
	bash_completes ezio-seed --progress = js json
	bash_completes ezio-recv -t a. a.torrent
	bash_completes ezio-recv -d 'b c' 'b c.torrent'
	bash_completes ezio-mktorrent a. a.torrent
	bash_completes ezio-recv a. ""
	bash_completes ezio-recv --infohash a ""
	for tool in $TOOLS; do
		bash_completes $tool --versi --version
		for option in $(bash_all $tool); do $tool --help | grep -qE -- "$option( |$)"; done
		[ "$(bash_all $tool | wc -w)" = "$($tool --help | grep -cE '^ +(-., )?--')" ]
	done
}

bash_all() {
	bash --norc -c 'source <("$1" --completion bash); COMP_WORDS=("$1" --) COMP_CWORD=1; _${1//-/_}; echo "${COMPREPLY[@]}"' bash "$1"
}

@test "fish completes options, files and words" {
	touch a.torrent
	for tool in $TOOLS; do
		$tool --completion fish >$tool.fish
		fish -c "source $tool.fish; complete -C '$tool --versi'" | grep -q -- '^--version'
	done
	[ "$(fish -c "source ezio-seed.fish; complete -C 'ezio-seed --progress pl'" | cut -f 1)" = plain ]
	[ "$(fish -c "source ezio-recv.fish; complete -C 'ezio-recv -t a.'")" = a.torrent ]
	[ "$(fish -c "source ezio-recv.fish; complete -C 'ezio-recv a.'")" = "" ]
}

# zsh_completes LINE: what zsh makes of the line and a Tab.
zsh_completes() {
	HOME=$PWD zsh -f -c '
		zmodload zsh/zpty
		zpty shell env -i PATH=$PATH HOME=$PWD TERM=dumb zsh -f -i
		zpty -w shell "PS1=; fpath=($PWD/zfunc \$fpath); autoload -Uz compinit; compinit -u -D; compdef | grep -c ezio; print rea\"\"dy"
		zpty -r shell seen "*ready*"
		zpty -w -n shell "$1"$'"'\t'"'
		zpty -w -n shell $'"'\C-a'"'"print -r -- \"<\" "$'"'\C-e'"'" \">\""$'"'\n'"'
		zpty -r shell seen "*<*>[^\"]*"
		print -r -- "$seen"' zsh "$1" | tr -d '\r' | grep -oE '^< .* >$'
}

@test "zsh completes options, files and words" {
	touch a.torrent
	mkdir zfunc
	for tool in $TOOLS; do $tool --completion zsh >zfunc/_$tool; done
	for tool in $TOOLS; do [ "$(zsh_completes "$tool --versi")" = "< $tool --version >" ]; done
	[ "$(zsh_completes 'ezio-seed --progress pl')" = "< ezio-seed --progress plain >" ]
	[ "$(zsh_completes 'ezio-recv -t a.t')" = "< ezio-recv -t a.torrent >" ]
}

@test "--nice and --ionice hold for every thread" {
	mkfifo hold
	exec 5<>hold
	ezio-btfiles --nice 7 --ionice best-effort:6 <hold 3>&- 5>&- &
	PID=$!
	echo "$PID" >>pids
	priorities() { ps -L -o ni= -p $PID | sort -u; for task in /proc/$PID/task/*; do ionice -p ${task##*/}; done | sort -u; }
	lowered() { [ "$(priorities)" = "  7"$'\n'"best-effort: prio 6" ]; }
	within 60 lowered
	exec 5>&-
	fails 1 setpriv --reuid 65534 --clear-groups --inh-caps=-all ezio-btfiles --nice -5 </dev/null
	[[ $err == "ezio-btfiles: set --nice -5: permission denied" ]]
}

@test "-v tells what goes on, and every line is the tool's" {
	ext4 e.img
	ezio-btfiles -q -s e.img | ezio-mktorrent -q >a.torrent
	seed a.torrent e.img
	recv t.img >out 2>err
	! grep -q ' peer=\| tracker=' err || false
	rm t.img
	recv t.img -v >out 2>err
	grep -q '^ezio-recv: peer joined peer=127.0.0.1:' err
	! grep -q '^ezio-recv: debug:' err || false
	rm t.img
	recv t.img -vv >out 2>err
	grep -q "^ezio-recv: debug: announced tracker=$TRACKER/announce" err
	! grep -v '^ezio-recv: ' err || false
	fails 2 ezio-recv -q -v -t a.torrent -d t.img
}

@test "a shell without a script is refused" {
	fails 2 ezio-seed --completion tcsh
	[[ $err == *"is not one of bash, zsh, fish" ]]
}

# ms: the time, in milliseconds.
ms() { echo $(($(date +%s%N) / 1000000)); }

@test "limits hold: upload, download, slow start" {
	ext4 e.img
	ezio-btfiles -q -s e.img | ezio-mktorrent -q >a.torrent
	bytes=$(ezio-verify -q -t a.torrent -d e.img --progress json 2>&1 | jq -r 'select(.event == "done") | .bytes')
	burst=$((512 * 1024))
	# limited COMMAND...: at 8 MB/s it takes at least so many milliseconds; not many times more either.
	least=$(((bytes - burst) / 8000))
	limited() {
		local start
		start=$(ms)
		"$@"
		took=$(($(ms) - start))
		echo "$bytes bytes: $took ms, at least $least"
		[ "$took" -ge "$least" ]
		[ "$took" -lt $((least * 3 + 5000)) ]
		ezio-verify -q -t a.torrent -d t.img
		rm t.img
	}
	seed a.torrent e.img
	limited recv t.img --download-limit 8MB
	limited recv t.img --download-limit 64Mbit/s
	kill $SEED
	seed a.torrent e.img --upload-limit 8MB
	limited recv t.img
	kill $SEED
	# 10 MB in the first period, 20 in the second
	seed a.torrent e.img --slow-start --slow-start-period 2s
	least=$(((bytes - burst - 2 * 10000000) / 20000 + 1000))
	limited recv t.img
	fails 2 ezio-recv -t a.torrent -d t.img --download-limit 10
	fails 2 ezio-recv -t a.torrent -d t.img --download-limit 200k
	fails 2 ezio-seed -t a.torrent -d e.img --upload-limit fast
	fails 2 ezio-seed -t a.torrent -d e.img --slow-start-period 3s
	fails 2 ezio-seed -t a.torrent -d e.img --slow-start --slow-start-period 0s
}

# A machine of its own for the seed, with two networks, and one for the receiver.
two_networks() {
	S=s$$ R=r$$
	for ns in $S $R; do ip netns add $ns; echo $ns >>netns; ip -n $ns link set lo up; done
	for n in 1 2; do
		ip link add name a$n netns $S type veth peer name b$n netns $R
		ip -n $S addr add 10.9.$n.1/24 dev a$n; ip -n $S link set a$n up
		ip -n $R addr add 10.9.$n.2/24 dev b$n; ip -n $R link set b$n up
	done
	ip -n $R route add 10.9.1.0/24 dev b2 metric 500 # the wrong way round, if it is asked for
}

sent() { ip netns exec $R cat /sys/class/net/$1/statistics/tx_bytes; }

@test "--interface: what is heard, and where traffic goes" {
	ext4 e.img
	ezio-btfiles -q -s e.img | ezio-mktorrent -q >a.torrent
	two_networks
	ip netns exec $S ezio-seed -t a.torrent -d e.img --interface a1 --progress plain >seed.out 2>seed.err 3>&- &
	echo $! >>pids
	became seed.err 10.9.1.1:6969
	! grep 10.9.2.1 seed.err || false
	# The page is at that interface's address, also for the machine itself, and nowhere else.
	for ns in $S $R; do ip netns exec $ns curl -sf -o b.torrent http://10.9.1.1:6969/a.torrent; done
	code=0; ip netns exec $R curl -s http://10.9.2.1:6969/ || code=$?; [ $code = 7 ]
	code=0; ip netns exec $R curl -s telnet://10.9.2.1:6881 </dev/null || code=$?; [ $code = 7 ]
	before1=$(sent b1) before2=$(sent b2)
	ip netns exec $R ezio-recv -t http://10.9.1.1:6969/a.torrent -d t.img --interface b2 --seed-idle 0
	# What it sends is requests and acknowledgements, some thousands of bytes for each MiB.
	[ $(($(sent b2) - before2)) -gt 20000 ]
	[ $(($(sent b1) - before1)) -lt 5000 ]
	ezio-verify -q -t a.torrent -d t.img
	fails 1 ezio-recv -t a.torrent -d t.img --interface nosuch0
	[[ $err == *"interface nosuch0: no such network interface"* ]]
}
