package main

import (
	"archive/zip"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// archive is a zip of files, names and contents in turn.
func archive(t testing.TB, files ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		f, err := w.Create(files[i])
		require.NoError(t, err)
		_, err = f.Write([]byte(files[i+1]))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return b.Bytes()
}

func TestUnpackRefuses(t *testing.T) {
	for _, name := range []string{"../key", "/etc/passwd", "a/../../b", `..\key`, `a\b`} {
		_, err := unpack(archive(t, name, "x"))
		require.ErrorContains(t, err, "leads out of the folder", name)
	}
	_, err := unpack(archive(t, "large", strings.Repeat("x", maxHanded+1)))
	require.ErrorContains(t, err, "larger than")
	_, err = unpack(archive(t, strings.Split(strings.Repeat("a,x,", maxFiles+1), ",")[:2*(maxFiles+1)]...))
	require.ErrorContains(t, err, "more than 100")
	_, err = unpack([]byte("no zip"))
	require.Error(t, err)
}

func FuzzUnpack(f *testing.F) {
	f.Add(archive(f, "www.example.com.crt", "c", "www.example.com.key", "k", "apache/www.example.com.conf", "a"))
	f.Add(archive(f, "../x", "c", "a/", ""))
	f.Fuzz(func(t *testing.T, b []byte) {
		files, err := unpack(b)
		if err != nil {
			return
		}
		require.LessOrEqual(t, len(files), maxFiles)
		for _, file := range files {
			require.LessOrEqual(t, len(file.content), maxHanded)
			inside, err := filepath.Rel("/folder", filepath.Join("/folder", filepath.FromSlash(file.name)))
			require.NoError(t, err)
			require.True(t, filepath.IsLocal(inside), file.name)
			if strings.HasSuffix(file.name, ".key") {
				require.Equal(t, secretMode, file.mode)
			}
		}
	})
}

func TestFilesAreWrittenWholeOrNotAtAll(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	require.NoError(t, writeFile(path, []byte("one"), secretMode))
	require.NoError(t, writeFile(path, []byte("two"), secretMode))
	require.True(t, sameFile(path, []byte("two")))
	require.ErrorIs(t, writeNewFile(path, []byte("three"), secretMode), os.ErrExist)
	require.True(t, sameFile(path, []byte("two")))
	require.Error(t, writeFile(filepath.Join(path, "below"), nil, secretMode))

	left, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, left, 1, "no temporary files stay")
}
