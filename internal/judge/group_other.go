//go:build unix && !linux

package judge

import "syscall"

// ownGroup puts a child into a process group of its own, so that the group can be ended whole.
func ownGroup(attr *syscall.SysProcAttr) *syscall.SysProcAttr {
	if attr == nil {
		attr = &syscall.SysProcAttr{}
	}
	attr.Setpgid = true
	return attr
}
