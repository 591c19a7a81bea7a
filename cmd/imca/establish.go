package main

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/issuer"
	"github.com/imca-project/imca/internal/keys"
	"github.com/imca-project/imca/internal/pki"
)

// keyStore is the folder of the CA's key files, and what opens them. References to keys are relative to it, so that it can be moved.
type keyStore struct {
	folder     string
	passphrase []byte
	made       []string // files of this run
}

// make makes the key of an authority. Its file is named for the key too: a run that was interrupted before the authority was
// recorded leaves a file behind that is in nobody's way.
func (k *keyStore) make(authority string, t pki.KeyType) (crypto.Signer, string, error) {
	key, err := t.Generate()
	if err != nil {
		return nil, "", fmt.Errorf("making the key of %s: %w", authority, err)
	}
	ref, err := k.keep(authority, key)
	return key, ref, err
}

// keep writes a key into the folder, encrypted, and returns its reference.
func (k *keyStore) keep(authority string, key crypto.Signer) (string, error) {
	if err := os.MkdirAll(k.folder, 0o700); err != nil {
		return "", fmt.Errorf("making the folder of the keys: %w", err)
	}
	hash, err := pki.SPKIHash(key.Public())
	if err != nil {
		return "", fmt.Errorf("naming the key of %s: %w", authority, err)
	}
	file := fmt.Sprintf("%s-%x.key", authority, hash[:4])
	path := filepath.Join(k.folder, file)
	if err := keys.Write(path, key, k.passphrase); err != nil {
		return "", err
	}
	k.made = append(k.made, path)
	return "file:" + file, nil
}

// open opens the key that a reference names. A file that everyone can read is refused.
func (k *keyStore) open(ref string) (crypto.Signer, error) {
	if path, is := strings.CutPrefix(ref, "file:"); is {
		if !filepath.IsAbs(path) {
			path = filepath.Join(k.folder, path)
		}
		err := openToOthers(path)
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%s is missing: the CA of this database was made with another folder of keys; bring the file from there", path)
		}
		if err != nil {
			return nil, fmt.Errorf("opening the key %s: %w", ref, err)
		}
		ref = "file:" + path
	}
	return keys.Open(ref, k.passphrase)
}

// discard removes the keys of this run, which no authority got.
func (k *keyStore) discard() {
	for _, path := range k.made {
		_ = os.Remove(path)
	}
}

// establish makes the CA of a database, unless it has one; which, it returns, and whether it was made now.
func establish(ctx context.Context, store ca.Store, e ca.Establishment, k *keyStore, now time.Time) (authorities []ca.Authority, made bool, err error) {
	if authorities, err = store.ListAuthorities(ctx); err != nil || len(authorities) > 0 {
		return authorities, false, err
	}
	e.NewKey = k.make
	authorities, err = ca.Establish(ctx, store, localAdmin(), e, now)
	var refusal *ca.Error
	if errors.As(err, &refusal) {
		k.discard() // nothing was recorded that would need them
	}
	if isKind(err, ca.KindConflict) {
		// Another process was faster: its CA it is.
		authorities, err = store.ListAuthorities(ctx)
		return authorities, false, err
	}
	return authorities, err == nil, err
}

// localAdmin is the principal of commands that work on the database itself: whoever can read its password may do everything anyway.
func localAdmin() ca.Principal {
	name := "somebody"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	return ca.Principal{Name: "local:" + name, Role: ca.RoleAdmin}
}

// rootFor is the root above the authority that issues a profile: what verifies certificates of that profile.
func rootFor(issuers []*issuer.Issuer, profile string) *x509.Certificate {
	for _, i := range issuers {
		if _, issues := i.Profile(profile); issues {
			return i.Root()
		}
	}
	return nil
}

// rootsFor are the roots, as PEM, that certificates of a usage may stand under: several during a roll-over. n is how many there are.
func rootsFor(authority *ca.CA, usage ca.Usage) (text []byte, n int) {
	var roots []*x509.Certificate
	for _, i := range authority.TrustedFor(usage) {
		if root := i.Root(); !slices.ContainsFunc(roots, root.Equal) {
			roots = append(roots, root)
			text = append(text, pki.EncodeCertificate(root.Raw)...)
		}
	}
	return text, len(roots)
}

// hierarchyOf is the shape in which a CA was made: that of the authorities which were recorded together at first.
func hierarchyOf(authorities []ca.Authority) ca.Hierarchy {
	made := slices.DeleteFunc(slices.Clone(authorities), func(a ca.Authority) bool { return !a.CreatedAt.Equal(authorities[0].CreatedAt) })
	switch {
	case len(made) == 1:
		return ca.HierarchyDirect
	case made[1].Parent != "":
		return ca.HierarchyIssuing
	}
	return ca.HierarchySeparate
}
