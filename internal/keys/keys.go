// Package keys turns the reference of a private key, such as "file:ca.key", into a
// crypto.Signer, and writes new keys into files.
//
// It holds to this: a key that it writes is encrypted (PKCS#8 as every tool reads
// it), readable by its owner only, on the disk before Write returns, and never in
// the place of another file. Passphrases come by reference too, from the
// environment or a file, so that none stands in a configuration or a command line.
//
// It makes no keys and signs nothing; a Signer that it opens is used by the issuer
// alone. It keeps no passphrase.
package keys

import (
	"bytes"
	"crypto"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/imca-project/imca/internal/pki"
)

// The bounds of what is read; a larger file is not what it is taken for.
const (
	maxKeyFile        = 64 << 10
	maxPassphraseFile = 4 << 10
)

const pemEncryptedKey = "ENCRYPTED PRIVATE KEY" // RFC 7468, Section 11

// Write puts the key into a new file, encrypted with the passphrase, mode 0600. A
// file that is there already is left as it is, and the error is fs.ErrExist.
func Write(path string, key crypto.Signer, passphrase []byte) error {
	if len(passphrase) == 0 {
		return fmt.Errorf("writing the key %s: the passphrase is empty: give one as env:NAME or file:PATH", path)
	}
	plain, err := pki.EncodeKey(key)
	if err != nil {
		return fmt.Errorf("writing the key %s: %w", path, err)
	}
	block, _ := pem.Decode(plain)
	encrypted, err := encrypt(block.Bytes, passphrase)
	if err != nil {
		return fmt.Errorf("writing the key %s: %w", path, err)
	}
	err = writeNew(path, pem.EncodeToMemory(&pem.Block{Type: pemEncryptedKey, Bytes: encrypted}))
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("writing the key %s: there is a file already, which stays as it is: choose another path, or move it away yourself: %w", path, err)
	}
	if err != nil {
		return fmt.Errorf("writing the key %s: %w", path, err)
	}
	return nil
}

// writeNew leaves a whole file on the disk, or none.
func writeNew(path string, data []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = syncDirectory(filepath.Dir(path))
	}
	if err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// syncDirectory makes the name of a new file last, not only its content.
func syncDirectory(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// Open opens the key that ref names, "file:PATH": a PEM file with one private key,
// encrypted PKCS#8 or, if others may not read it, not encrypted. The passphrase is
// not looked at for the latter.
func Open(ref string, passphrase []byte) (crypto.Signer, error) {
	path, ok := strings.CutPrefix(ref, "file:")
	if !ok || path == "" {
		return nil, fmt.Errorf("opening the key %q: this is not a reference to a key: give file:PATH", ref)
	}
	data, mode, err := readFile(path, maxKeyFile)
	if err != nil {
		return nil, fmt.Errorf("opening the key %s: %w", ref, err)
	}
	key, err := parse(data, mode, passphrase)
	if err != nil {
		return nil, fmt.Errorf("opening the key %s: %w", ref, err)
	}
	return key, nil
}

func parse(data []byte, mode fs.FileMode, passphrase []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(data)
	if block == nil || block.Type != pemEncryptedKey {
		if mode&0o007 != 0 {
			return nil, fmt.Errorf("it is not encrypted and everyone may read it (mode %#o): run chmod 600, and think about who may have read it", mode.Perm())
		}
		return pki.ParseKey(data)
	}
	if len(passphrase) == 0 {
		return nil, errors.New("it is encrypted: give its passphrase as env:NAME or file:PATH")
	}
	plain, err := decrypt(block.Bytes, passphrase)
	if err != nil {
		return nil, err
	}
	key, err := pki.ParseKey(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: plain}))
	if err != nil {
		// One wrong passphrase in 256 leaves something that looks like padding.
		return nil, fmt.Errorf("%w (%w)", errPassphrase, err)
	}
	return key, nil
}

// Passphrase reads the passphrase that ref names: "env:NAME", a variable of the
// environment, or "file:PATH", a file without the line end behind its last line.
// An empty passphrase is an error.
func Passphrase(ref string) ([]byte, error) {
	scheme, name, _ := strings.Cut(ref, ":")
	var passphrase []byte
	switch {
	case name == "":
		// A passphrase that was given in the place of its reference must not
		// show up in a log.
		return nil, errors.New("reading a passphrase: this is not a reference to one: give env:NAME or file:PATH")
	case scheme == "env":
		passphrase = []byte(os.Getenv(name))
	case scheme == "file":
		data, _, err := readFile(name, maxPassphraseFile)
		if err != nil {
			return nil, fmt.Errorf("reading the passphrase %s: %w", ref, err)
		}
		passphrase = bytes.TrimSuffix(bytes.TrimSuffix(data, []byte("\n")), []byte("\r"))
	default:
		return nil, errors.New("reading a passphrase: this is not a reference to one: give env:NAME or file:PATH")
	}
	if len(passphrase) == 0 {
		return nil, fmt.Errorf("reading the passphrase %s: it is empty or not set: put the passphrase there", ref)
	}
	return passphrase, nil
}

// readFile reads a file of bounded size.
func readFile(path string, limit int64) ([]byte, fs.FileMode, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, 0, err
	}
	data, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return nil, 0, err
	}
	if int64(len(data)) > limit {
		return nil, 0, fmt.Errorf("the file is larger than %d KiB: give the right one", limit>>10)
	}
	return data, info.Mode(), nil
}
