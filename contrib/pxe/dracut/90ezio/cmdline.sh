#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# With ezio.* on the command line there is no root to wait for.
case " $(getcmdline)" in
*" ezio."*=*)
	# shellcheck disable=SC2034 # dracut reads them
	root=ezio rootok=1
	;;
esac
