#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# ezio_cli.py [-w SECONDS]: as ezio_ui.py, in one line, for terminals smaller than 80 by 24.
exec "$(dirname "$(readlink -f "$0")")/ezio_ui.py" --simple "$@"
