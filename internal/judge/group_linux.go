package judge

import "syscall"

// ownGroup puts a child into a process group of its own, so that the group can be ended whole, and has the kernel end it when the test
// binary dies without its cleanups (a timeout, a panic, a KILL).
func ownGroup(attr *syscall.SysProcAttr) *syscall.SysProcAttr {
	if attr == nil {
		attr = &syscall.SysProcAttr{}
	}
	attr.Setpgid = true
	attr.Pdeathsig = syscall.SIGTERM
	return attr
}
