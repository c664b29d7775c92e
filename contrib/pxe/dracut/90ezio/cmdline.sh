#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# With ezio.* on the command line there need be no root.
case " $(getcmdline)" in
*" ezio."*=*)
	# shellcheck disable=SC2034 # dracut reads them
	getarg root= >/dev/null || { root=ezio; rootok=1; }
	;;
esac
