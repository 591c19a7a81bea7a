package inspect

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/imca-project/imca/internal/pki"
)

// material is a file that a directive names, and what it holds.
type material struct {
	by   *directive
	path string
	mode fs.FileMode
	err  error // why it cannot be read, or is not what it has to be

	text         []byte
	certificates []*x509.Certificate
	key          crypto.Signer
	lists        []*x509.RevocationList
}

// maxMaterial bounds a file: a revocation list of a million entries has some 55 MB in PEM.
const maxMaterial = 256 << 20

var (
	errEmpty     = errors.New("it is empty")
	errEncrypted = errors.New("the key is encrypted: the server asks for the passphrase at each start")
)

// load reads the file that a directive names; nil if there is none, or if it is not known before a request comes (nginx's variables).
func (s *site) load(d *directive) *material {
	name := d.arg(0)
	if name == "" || strings.Contains(name, "$") || strings.HasPrefix(name, "data:") || strings.HasPrefix(name, "engine:") || strings.HasPrefix(name, "pkcs11:") {
		return nil
	}
	m := &material{by: d, path: s.reading.path(name)}
	if m.text, m.err = readSome(m.path, maxMaterial); m.err != nil {
		return m
	}
	if info, err := os.Stat(m.path); err == nil {
		m.mode = info.Mode()
	}
	if len(strings.TrimSpace(string(m.text))) == 0 {
		m.err = errEmpty
	}
	return m
}

// missing tells whether there is no such file.
func (m *material) missing() bool { return errors.Is(m.err, fs.ErrNotExist) || m.err == errEmpty }

// denied tells whether we may not read it, which says nothing about the server.
func (m *material) denied() bool { return errors.Is(m.err, fs.ErrPermission) }

func (m *material) loadCertificates() {
	m.each("CERTIFICATE", func(der []byte) (err error) {
		certificate, err := x509.ParseCertificate(der)
		if err == nil {
			m.certificates = append(m.certificates, certificate)
		}
		return err
	})
	if m.err == nil && len(m.certificates) == 0 {
		m.err = errors.New("it holds no certificate in PEM, which begins with -----BEGIN CERTIFICATE-----" + m.looksLike())
	}
}

func (m *material) loadLists() {
	m.each("X509 CRL", func(der []byte) (err error) {
		list, err := x509.ParseRevocationList(der)
		if err == nil {
			m.lists = append(m.lists, list)
		}
		return err
	})
	if m.err == nil && len(m.lists) == 0 {
		m.err = errors.New("it holds no revocation list in PEM, which begins with -----BEGIN X509 CRL-----" + m.looksLike())
	}
}

// each reads the blocks of one type; others stand beside them in many a file.
func (m *material) each(kind string, read func(der []byte) error) {
	if m.err != nil {
		return
	}
	for block, rest := pem.Decode(m.text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != kind && !(kind == "CERTIFICATE" && block.Type == "TRUSTED CERTIFICATE") {
			continue
		}
		if err := read(block.Bytes); err != nil {
			m.err = fmt.Errorf("a block in it is broken: %w", err)
			return
		}
	}
}

func (m *material) loadKey() {
	if m.err != nil {
		return
	}
	for block, rest := pem.Decode(m.text); block != nil; block, rest = pem.Decode(rest) {
		if !strings.HasSuffix(block.Type, "PRIVATE KEY") {
			continue
		}
		if block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "" {
			m.err = errEncrypted
			return
		}
		if m.key, m.err = pki.ParseKey(pem.EncodeToMemory(block)); m.err != nil {
			m.err = errors.New("the key in it cannot be read") // not the parser's words: they could quote the key
		}
		return
	}
	m.err = errors.New("it holds no private key in PEM, which begins with -----BEGIN PRIVATE KEY-----" + m.looksLike())
}

// looksLike says what a file without PEM is instead.
func (m *material) looksLike() string {
	switch {
	case len(m.text) > 1 && m.text[0] == 0x30 && m.text[1] >= 0x80:
		return "; it looks like DER"
	case strings.HasPrefix(string(m.text), "PK"):
		return "; it looks like a zip archive"
	case strings.HasPrefix(strings.TrimSpace(string(m.text)), "<"):
		return "; it looks like a web page"
	}
	return ""
}

// pair is a certificate with its chain, and its key.
type pair struct {
	certificate, key *material
}

func (p pair) leaf() *x509.Certificate {
	if p.certificate == nil || len(p.certificate.certificates) == 0 {
		return nil
	}
	return p.certificate.certificates[0]
}

// pairs reads the site's certificates, each with its key: the n-th certificate has the n-th key, or where there is none the one in its own file.
func (s *site) pairs() []pair {
	var pairs []pair
	keys := s.settings[key]
	for i, d := range s.settings[certificate] {
		p := pair{certificate: s.load(d)}
		if p.certificate == nil {
			continue
		}
		p.certificate.loadCertificates()
		if s.chain != nil && p.certificate.err == nil {
			if m := s.load(s.chain); m != nil {
				m.loadCertificates()
				p.certificate.certificates = append(p.certificate.certificates, m.certificates...)
			}
		}
		switch {
		case i < len(keys):
			p.key = s.load(keys[i])
		case s.product == Apache:
			p.key = s.load(d)
		}
		if p.key != nil {
			p.key.loadKey()
		}
		pairs = append(pairs, p)
	}
	return pairs
}

// reader is who opens files when the server starts.
type reader struct {
	name   string
	uid    uint32
	groups []uint32
}

// mayRead tells whether somebody who is not root may read a file, by the modes of the folders above it and its own; and which of them forbids it.
// Lists of access (ACL) and SELinux are not looked at.
func (r reader) mayRead(path string) (forbids string, may bool) {
	if r.uid == 0 {
		return "", true
	}
	for folder := filepath.Dir(path); ; folder = filepath.Dir(folder) {
		if info, err := os.Stat(folder); err == nil && !r.allowed(info, 0o1) {
			return folder, false
		}
		if folder == filepath.Dir(folder) {
			break
		}
	}
	if info, err := os.Stat(path); err == nil && !r.allowed(info, 0o4) {
		return path, false
	}
	return "", true
}
