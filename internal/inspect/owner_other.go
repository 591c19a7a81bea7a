//go:build !unix

package inspect

import "io/fs"

// allowed does not know whose a file is where users have no numbers.
func (reader) allowed(fs.FileInfo, fs.FileMode) bool { return true }
