package console

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed assets
var assetFiles embed.FS

// assets are the stylesheet, the scripts and the pictures. They are served below one hash of them all, so they may be kept for ever, and
// modules find each other by relative names.
type assets struct {
	base  string // "/assets/HASH/"
	files map[string][]byte
}

func loadAssets() *assets {
	a := &assets{files: make(map[string][]byte)}
	hash := sha256.New()
	must(fs.WalkDir(assetFiles, "assets", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := assetFiles.ReadFile(name)
		name = strings.TrimPrefix(name, "assets/")
		a.files[name] = content
		hash.Write([]byte(name + "\x00"))
		hash.Write(content)
		return err
	}))
	a.base = "/assets/" + hex.EncodeToString(hash.Sum(nil)[:8]) + "/"
	return a
}

// path is where an asset is.
func (a *assets) path(name string) string { return a.base + name }

func (a *assets) serve(w http.ResponseWriter, r *http.Request) {
	name, ours := strings.CutPrefix(r.URL.Path, a.base)
	content, found := a.files[name]
	if !ours || !found {
		http.Error(w, "There is no such file: reload the page, it names those of the server's present version.", http.StatusNotFound)
		return
	}
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	w.Header().Set("Content-Type", mediaType(name))
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(content))
}

// mediaType does not ask the machine for what the browser must be told right: with "nosniff" a script of another type does not run.
func mediaType(name string) string {
	switch path.Ext(name) {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	}
	return mime.TypeByExtension(path.Ext(name))
}
