//go:build unix

package inspect

import (
	"io/fs"
	"slices"
	"syscall"
)

// allowed tells whether the mode of a file allows what the bit of a class (4 to read, 1 to enter) says.
func (r reader) allowed(info fs.FileInfo, bit fs.FileMode) bool {
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return true
	}
	mode := info.Mode().Perm()
	switch {
	case owner.Uid == r.uid:
		mode >>= 6
	case slices.Contains(r.groups, owner.Gid):
		mode >>= 3
	}
	return mode&bit != 0
}
