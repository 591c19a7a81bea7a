package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/issuer"
	"github.com/imca-project/imca/internal/pki"
)

// What 'imca dev' keeps in its data folder, beside the CA certificates.
const (
	defaultData    = "imca-data"
	passphraseFile = "passphrase"
	databaseFile   = "imca.db"
	operatorToken  = "operator.token"
	demoToken      = "demo.token"
	platformCert   = "platform.crt"
	platformKey    = "platform.key"
	clientCAs      = "clients.pem" // these two during a roll-over: the roots of the platform's certificates, and of servers'
	serverCAs      = "servers.pem"
	stateFile      = "dev.json"
)

// demoApp is the app that the demo token acts for; its domains need no proof, unless --domains says so.
const demoApp = "demo"

// dataFolder is the data folder of 'imca dev'.
type dataFolder string

func (d dataFolder) path(name string) string { return filepath.Join(string(d), name) }

// devState is what other commands must know of an 'imca dev', to work on its folder.
type devState struct {
	URL      string `json:"url"`        // of REST
	BaseURL  string `json:"public_url"` // of plain HTTP
	CA       string `json:"ca"`         // file of the root that verifies URL
	Database string `json:"database"`
}

// state reads what the last 'imca dev' on the folder has left.
func (d dataFolder) state() (devState, error) {
	text, err := os.ReadFile(d.path(stateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return devState{}, usageError{fmt.Errorf("%s is no data folder of 'imca dev' (it has no %s): start 'imca dev --data %s' once, or name another folder", d, stateFile, d)}
	}
	if err != nil {
		return devState{}, fmt.Errorf("reading the data folder: %w", err)
	}
	var s devState
	if err := json.Unmarshal(text, &s); err != nil {
		return devState{}, fmt.Errorf("reading %s: %w: start 'imca dev' once more, which writes it anew", d.path(stateFile), err)
	}
	return s, nil
}

func (d dataFolder) remember(s devState) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("writing %s: %w", stateFile, err)
	}
	return d.write(stateFile, append(text, '\n'), secretMode) // the URL of a database may have a password
}

// write writes a file, unless it is there as it should be.
func (d dataFolder) write(name string, data []byte, mode fs.FileMode) error {
	if path := d.path(name); !sameFile(path, data) {
		return writeFile(path, data, mode)
	}
	return nil
}

// passphrase is that of the CA's keys, made at the first start.
func (d dataFolder) passphrase() ([]byte, error) {
	path := d.path(passphraseFile)
	if err := writeNewFile(path, []byte(rand.Text()+"\n"), secretMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the passphrase: %w", err)
	}
	return []byte(strings.TrimSpace(string(text))), nil
}

// provision puts into the folder what its owner works with: the CA certificates, two tokens, and the platform's client certificate. What is
// there and good stays. The name of the file with the root that verifies the server itself is returned, or with all of them during a roll-over.
func (d dataFolder) provision(ctx context.Context, store ca.Store, authority *ca.CA, clientName pki.Name, policy ca.DomainPolicy, now time.Time) (serverCA string, err error) {
	for _, i := range authority.Issuers() {
		if len(i.Chain()) == 0 {
			name := i.Name() + ".crt"
			if err := d.write(name, pki.EncodeCertificate(i.Certificate().Raw), publicMode); err != nil {
				return "", err
			}
			if i.Certificate().Equal(rootFor(authority.Issuers(), issuer.ServerProfile)) {
				serverCA = name
			}
		}
	}
	if _, err := d.roots(authority, clientCAs, ca.UsageClientAuth); err != nil {
		return "", err
	}
	several, err := d.roots(authority, serverCAs, ca.UsageServerAuth)
	if err != nil {
		return "", err
	}
	if several {
		serverCA = serverCAs
	}
	app, err := ensureApp(ctx, store, authority, localAdmin(), ca.NewApp{ID: demoApp, Name: "Demo", Policy: cmp.Or(policy, ca.PolicyOpen)})
	if err == nil && policy != "" && app.Policy != policy {
		_, err = authority.ChangeApp(ctx, localAdmin(), demoApp, ca.AppChange{Policy: &policy})
	}
	if err != nil {
		return "", fmt.Errorf("making the demo app: %w", err)
	}
	if err := d.token(ctx, authority, operatorToken, ca.NewToken{Name: "operator", Role: ca.RoleOperator}); err != nil {
		return "", err
	}
	if err := d.token(ctx, authority, demoToken, ca.NewToken{Name: "demo", Role: ca.RoleDeveloper, App: demoApp}); err != nil {
		return "", err
	}
	return serverCA, d.platform(ctx, authority, clientName, now)
}

// roots writes a file with all roots for a usage, while there are several.
func (d dataFolder) roots(authority *ca.CA, file string, usage ca.Usage) (several bool, err error) {
	roots, n := rootsFor(authority, usage)
	if n > 1 {
		return true, d.write(file, roots, publicMode)
	}
	if err := os.Remove(d.path(file)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("removing a file of roots: %w", err)
	}
	return false, nil
}

// token makes a token, unless the file has one that works.
func (d dataFolder) token(ctx context.Context, authority *ca.CA, file string, t ca.NewToken) error {
	if secret, err := os.ReadFile(d.path(file)); err == nil {
		if _, err := authority.Authenticate(ctx, strings.TrimSpace(string(secret)), "", ""); err == nil {
			return nil
		}
	}
	_, secret, err := authority.CreateToken(ctx, localAdmin(), t)
	if err != nil {
		return fmt.Errorf("making the token of the %s: %w", t.Name, err)
	}
	return d.write(file, []byte(secret+"\n"), secretMode)
}

// platform has the platform's client certificate issued, unless there is one of this CA with more than a third of its life left.
func (d dataFolder) platform(ctx context.Context, authority *ca.CA, name pki.Name, now time.Time) error {
	if d.platformIsFresh(authority, name, now) {
		return nil
	}
	issued, err := authority.Issue(ctx, itself(), ca.IssueRequest{Profile: issuer.ClientProfile, Domains: []string{name.String()}})
	if err != nil {
		return fmt.Errorf("issuing the platform's client certificate: %w", err)
	}
	chain, err := chainOf(authority, issued.Certificate)
	if err != nil {
		return err
	}
	if err := d.write(platformKey, issued.PrivateKey, secretMode); err != nil {
		return err
	}
	return d.write(platformCert, chain, publicMode)
}

func (d dataFolder) platformIsFresh(authority *ca.CA, name pki.Name, now time.Time) bool {
	pair, err := tls.LoadX509KeyPair(d.path(platformCert), d.path(platformKey))
	if err != nil || pair.Leaf.Subject.CommonName != name.String() || worn(pair.Leaf.NotBefore, pair.Leaf.NotAfter, now) {
		return false
	}
	roots := x509.NewCertPool()
	roots.AddCert(rootFor(authority.Issuers(), issuer.ClientProfile))
	_, err = pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	return err == nil
}
