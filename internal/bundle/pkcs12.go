package bundle

import (
	"errors"
	"fmt"
	"strings"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/imca-project/imca/internal/pki"
)

// KeyStore is the certificate with its chain and key as PKCS#12, encrypted as Java (from 8u301), OpenSSL (from 1.1.1) and Windows (from Server
// 2019 and 10) read it: PBES2, AES-256, HMAC with SHA-256. Of in, Certificate, Chain, Root and Key are used; client certificates have key stores
// too.
//
// The password has 6 characters or more, all of them printable ASCII: keytool writes no store with a shorter one, and programs disagree on how
// others are encoded. There are none without: the key would lie open.
func KeyStore(in Input, password string) ([]byte, error) {
	i, err := checkIssued(in)
	if err != nil {
		return nil, fmt.Errorf("making a key store: %w", err)
	}
	if i.key == nil {
		return nil, errors.New("making a key store: the key is with the developer, who can make one with `openssl pkcs12 -export -inkey KEY -in CERTIFICATE`")
	}
	if err := checkPassword(password); err != nil {
		return nil, fmt.Errorf("making a key store: %w", err)
	}
	store, err := pkcs12.Modern2023.Encode(i.key, i.leaf, i.chain, password)
	if err != nil {
		return nil, fmt.Errorf("making a key store: %w", err)
	}
	return store, nil
}

// TrustStore is the authority as PKCS#12, with the attribute trustedKeyUsage, without which Java would see an empty store. Each root is an entry
// under the authority's name, from the second one on with "-2" and so on. What it holds is public, so the password protects against mistakes
// alone; Java's is "changeit". The rules for it are KeyStore's.
func TrustStore(authority Authority, password string) ([]byte, error) {
	roots, err := authority.roots()
	if err != nil {
		return nil, fmt.Errorf("making a trust store: %w", err)
	}
	if err := checkPassword(password); err != nil {
		return nil, fmt.Errorf("making a trust store: %w", err)
	}
	var entries []pkcs12.TrustStoreEntry
	for i, root := range roots {
		name := authority.Name
		if i > 0 {
			name = numbered(name, i+1)
		}
		entries = append(entries, pkcs12.TrustStoreEntry{Cert: root, FriendlyName: name})
	}
	store, err := pkcs12.Modern2023.EncodeTrustStoreEntries(entries, password)
	if err != nil {
		return nil, fmt.Errorf("making a trust store: %w", err)
	}
	return store, nil
}

// storePassword is what Java programs expect. The stores in the bundle lie beside the password, and need no less care than the key.
const storePassword = "changeit"

// storesFor makes the files of certificates that a server needs in a form of its own.
func storesFor(server string, in Input, h handover) ([]File, error) {
	var files []File
	switch server {
	case "caddy":
		for i, root := range h.clientCAs[1:] {
			files = append(files, File{"caddy/" + numbered(in.ClientCA.Name, i+2) + ".crt", 0o644, pki.EncodeCertificate(root.Raw)})
		}
	case "tomcat":
		trust, err := TrustStore(in.ClientCA, storePassword)
		if err != nil {
			return nil, err
		}
		files = append(files, File{"tomcat/" + in.ClientCA.Name + ".p12", 0o644, trust})
		if h.key == nil {
			break
		}
		key, err := KeyStore(in, storePassword)
		if err != nil {
			return nil, err
		}
		files = append(files, File{"tomcat/" + h.stem + ".p12", 0o600, key})
	}
	return files, nil
}

// numbered names the further roots of an authority, from the second one on.
func numbered(authority string, number int) string { return fmt.Sprintf("%s-%d", authority, number) }

func checkPassword(password string) error {
	const shortest = 6
	if len(password) < shortest || strings.ContainsFunc(password, func(r rune) bool { return r < ' ' || r > '~' }) {
		return fmt.Errorf("its password: give at least %d printable ASCII characters", shortest)
	}
	return nil
}
