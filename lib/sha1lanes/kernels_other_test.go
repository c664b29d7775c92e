// SPDX-License-Identifier: GPL-2.0-or-later

//go:build !amd64

package sha1lanes

func testable() set { return kernels }
