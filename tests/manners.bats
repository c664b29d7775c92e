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
	for _ in $(seq 50); do
		priorities=$(ps -L -o ni= -p $PID | sort -u; for task in /proc/$PID/task/*; do ionice -p ${task##*/}; done | sort -u)
		[ "$priorities" = "  7"$'\n'"best-effort: prio 6" ] && break
		sleep 0.1
	done
	[ "$priorities" = "  7"$'\n'"best-effort: prio 6" ]
	exec 5>&-
	fails 1 setpriv --reuid 65534 --clear-groups --inh-caps=-all ezio-btfiles --nice -5 </dev/null
	[[ $err == "ezio-btfiles: set --nice -5: permission denied" ]]
}

@test "-v tells what goes on, and every line is the tool's" {
	ext4 e.img
	ezio-btfiles -q -s e.img | ezio-mktorrent -q >a.torrent
	seed a.torrent e.img
	recv t.img >out 2>err
	! grep -q ' peer=\| tracker=' err
	rm t.img
	recv t.img -v >out 2>err
	grep -q '^ezio-recv: peer joined peer=127.0.0.1:' err
	! grep -q '^ezio-recv: debug:' err
	rm t.img
	recv t.img -vv >out 2>err
	grep -q "^ezio-recv: debug: announced tracker=$TRACKER/announce" err
	! grep -v '^ezio-recv: ' err
	fails 2 ezio-recv -q -v -t a.torrent -d t.img
}

@test "a shell without a script is refused" {
	fails 2 ezio-seed --completion tcsh
	[[ $err == *"is not one of bash, zsh, fish" ]]
}
