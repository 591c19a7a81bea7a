package keep

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

const publicMode fs.FileMode = 0o644

// install puts a whole file in its place: who reads it sees the old content or the new one. Before that it leaves the mark that a reload is due, so
// that none is forgotten if the program ends in between.
func install(path string, content []byte, reloads bool) error {
	mode := publicMode
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
	}
	if reloads {
		if err := write(mark(path), nil, publicMode); err != nil {
			return err
		}
	}
	return write(path, content, mode)
}

// reload makes the server load what has the mark of being due.
func reload(ctx context.Context, path string, do func(context.Context) error) (bool, error) {
	if _, err := os.Lstat(mark(path)); err != nil || do == nil {
		return false, nil
	}
	if err := do(ctx); err != nil {
		return false, fmt.Errorf("%s is in place, but the reload did not work, and is tried again: %w", path, err)
	}
	if err := os.Remove(mark(path)); err != nil {
		return true, fmt.Errorf("taking the mark of a reload away: %w", err)
	}
	return true, nil
}

// mark is the file whose presence says that a reload is due.
func mark(path string) string {
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".reload")
}

// write puts a whole file in its place, or none, also after a loss of power.
func write(path string, content []byte, mode fs.FileMode) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	_, err = temporary.Write(content)
	err = errors.Join(err, temporary.Chmod(mode), temporary.Sync(), temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	if err != nil {
		_ = os.Remove(temporary.Name())
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return syncFolder(filepath.Dir(path))
}

// syncFolder makes the names in a folder last.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
