package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Modes of what is written.
const (
	secretMode fs.FileMode = 0o600
	publicMode fs.FileMode = 0o644
)

// writeFile puts a whole file in its place, or none: readers see the old content or the new one, also after a loss of power.
func writeFile(path string, data []byte, mode fs.FileMode) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	_, err = temporary.Write(data)
	err = errors.Join(err, temporary.Chmod(mode), temporary.Sync(), temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	if err == nil {
		err = syncFolder(filepath.Dir(path))
	} else {
		_ = os.Remove(temporary.Name())
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

// syncFolder makes the name of a file last, not only its content.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// exists tells whether there is something at a path.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// sameFile tells whether a file holds just this.
func sameFile(path string, data []byte) bool {
	have, err := os.ReadFile(path)
	return err == nil && string(have) == string(data)
}

// openToOthers tells whether others than a file's owner and group may read it, with the mend; nil when they may not.
func openToOthers(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if mode := info.Mode().Perm(); mode&0o007 != 0 {
		return fmt.Errorf("%s can be read by everyone on this machine (mode %#o): run chmod 600 %s, and think about who may have read it", path, mode, path)
	}
	return nil
}

// writeNewFile is writeFile for a path at which nothing may be yet; the error is fs.ErrExist if there is. Of several processes one wins.
func writeNewFile(path string, data []byte, mode fs.FileMode) error {
	temporary := path + "." + rand.Text()
	if err := writeFile(temporary, data, mode); err != nil {
		return err
	}
	defer func() { _ = os.Remove(temporary) }()
	if err := os.Link(temporary, path); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return syncFolder(filepath.Dir(path))
}
