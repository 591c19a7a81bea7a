package main

import (
	"archive/zip"
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/imca-project/imca/api"
	"github.com/imca-project/imca/internal/bundle"
	"github.com/imca-project/imca/internal/pki"
)

// handed is a file to write.
type handed struct {
	name    string // with slashes
	content []byte
	mode    fs.FileMode
}

// deliverBundle writes the files of a hand-over bundle: certificate, key and CA, and the configurations that were asked for.
func deliverBundle(ctx context.Context, p *program, c *api.Client, o orderOptions, t terms, archive []byte, err error) error {
	if err != nil {
		t.undo()
		return err
	}
	files, err := unpack(archive)
	if err != nil {
		return fmt.Errorf("unpacking the answer: %w", err)
	}
	var (
		wanted []handed
		stem   string
	)
	for _, f := range files {
		folder, _, inFolder := strings.Cut(f.name, "/")
		if inFolder && o.server != allServers && folder != o.server || f.name == "README.txt" && o.server == noServer {
			continue
		}
		if own, is := strings.CutSuffix(f.name, ".crt"); is && stem == "" {
			stem = own // the developer's certificate comes first
		}
		wanted = append(wanted, f)
	}
	if stem == "" {
		return fmt.Errorf("unpacking the answer: there is no certificate in it: is the server of this version?")
	}
	if t.key != nil {
		wanted = append(wanted, handed{stem + ".key", t.key, secretMode})
	}
	leaf, err := pki.ParseCertificates(wanted[0].content)
	if err != nil {
		return fmt.Errorf("reading the certificate: %w", err)
	}
	serial, _ := pki.SerialFromInt(leaf[0].SerialNumber)
	if err := writeHanded(o.out, wanted); err != nil {
		return lost(err, serial.String())
	}
	cert, err := c.Certificate(ctx, serial.String())
	if err != nil {
		return err
	}
	return reportIssued(p, o, cert, wanted)
}

// deliverAlone writes a certificate that comes without a bundle: one for the platform itself.
func deliverAlone(p *program, o orderOptions, t terms, cert *api.Certificate, err error) error {
	if err != nil {
		t.undo()
		return err
	}
	name, err := pki.ParseName(cert.Domains[0])
	if err != nil {
		return fmt.Errorf("naming the files: %w", err)
	}
	stem := bundle.Stem(name)
	wanted := []handed{{stem + ".crt", []byte(cert.Certificate + cert.Chain), publicMode}}
	if key := cmp.Or(string(t.key), cert.PrivateKey); key != "" {
		wanted = append(wanted, handed{stem + ".key", []byte(key), secretMode})
	}
	if err := writeHanded(o.out, wanted); err != nil {
		return lost(err, cert.Serial)
	}
	return reportIssued(p, o, cert, wanted)
}

// lost tells what to do when a certificate was issued and its files could not be written.
func lost(err error, serial string) error {
	return fmt.Errorf("%w\nThe certificate %s was issued, but its key is lost if the server made it. Make room, then: imca renew %s", err, serial, serial)
}

// unpack reads a zip. Names that lead out of a folder are refused, and so is what no bundle is as large as.
func unpack(archive []byte) ([]handed, error) {
	r, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		return nil, err
	}
	if len(r.File) > maxFiles {
		return nil, fmt.Errorf("it has %d files, more than %d", len(r.File), maxFiles)
	}
	var files []handed
	for _, f := range r.File {
		if !filepath.IsLocal(f.Name) || strings.Contains(f.Name, `\`) {
			return nil, fmt.Errorf("the name %q leads out of the folder", f.Name)
		}
		if f.FileInfo().IsDir() {
			continue
		}
		in, err := f.Open()
		if err != nil {
			return nil, err
		}
		content, err := io.ReadAll(io.LimitReader(in, maxHanded+1))
		_ = in.Close()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
		if len(content) > maxHanded {
			return nil, fmt.Errorf("%s is larger than %d bytes", f.Name, maxHanded)
		}
		mode := publicMode
		if path.Ext(f.Name) == ".key" || f.Mode().Perm()&0o077 == 0 {
			mode = secretMode
		}
		files = append(files, handed{f.Name, content, mode})
	}
	return files, nil
}

// Bounds of a bundle: its files, and the bytes of each.
const (
	maxFiles  = 100
	maxHanded = 1 << 20
)

// writeHanded writes the files, keys first: a certificate without its key is worth less than a key without its certificate.
func writeHanded(folder string, files []handed) error {
	inOrder := slices.Clone(files)
	slices.SortStableFunc(inOrder, func(a, b handed) int { return cmp.Compare(a.mode, b.mode) })
	for _, f := range inOrder {
		target := filepath.Join(folder, filepath.FromSlash(f.name))
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return fmt.Errorf("making a folder: %w", err)
		}
		if err := writeFile(target, f.content, f.mode); err != nil {
			return err
		}
	}
	return nil
}

func reportIssued(p *program, o orderOptions, cert *api.Certificate, files []handed) error {
	var paths []string
	for _, f := range files {
		paths = append(paths, filepath.Join(o.out, filepath.FromSlash(f.name)))
	}
	if p.json {
		return p.encode(struct {
			api.CertificateSummary
			Files []string `json:"files"`
		}{cert.CertificateSummary, paths})
	}
	p.say("%s %s for %s, valid until %s.", p.paint(good, "Issued"), cert.Serial, strings.Join(cert.Domains, ", "), cert.NotAfter.Local().Format("2006-01-02 15:04"))
	for i, f := range files {
		note := ""
		switch {
		case path.Ext(f.name) == ".key":
			note = "   (the only copy of the key; mode 0600)"
		case f.mode == secretMode:
			note = "   (holds the key, too; mode 0600)"
		}
		p.say("  %s%s", paths[i], p.paint(quiet, note))
	}
	return nil
}
