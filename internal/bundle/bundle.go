// Package bundle makes what a developer is handed together with a certificate: a zip with the certificate, its key, the authority that callers
// are certified by and a configuration for each web server; or PKCS#12 key and trust stores.
//
// It holds to two promises. What is handed out starts as it is unpacked: certificate, chain, key and authorities are checked against each
// other before a byte is written. And nothing has to be escaped anywhere: each text that gets into a file name, a configuration or a line for
// a shell consists of characters that mean nothing to any of them, or it is refused; so a further server, which is one more folder in
// templates, cannot forget to.
//
// It issues nothing and keeps nothing. A private key passes through memory only.
package bundle

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"time"

	"github.com/imca-project/imca/internal/pki"
)

// Input is what is handed over, and to whom the developer's server is to open. All PEM is as internal/pki writes it.
type Input struct {
	// Certificate is the developer's server certificate alone. Its first name gives the files theirs: see Stem.
	Certificate []byte
	// Chain is what stands between Certificate and its root, the issuer of Certificate first, without the root. Empty where the root signs.
	Chain []byte
	// Key is the private key in PKCS#8, not encrypted; nil where the developer made it, who then has to put it beside the other files.
	Key []byte
	// Root is the authority that Certificate and Chain lead to, which the clients of the developer's server trust. It becomes a file of its
	// own only where the platform's certificate comes from another one.
	Root Authority

	// ClientCA is the authority that the developer's server demands of its callers.
	ClientCA Authority
	// ClientIssuers certify the platform, PEM, where they are not the roots of ClientCA themselves.
	ClientIssuers []byte
	// ClientName is the common name of the platform's client certificate: a DNS name of at most 64 characters. Nobody else is let in.
	ClientName pki.Name
	// VerifyDepth is how many certificates lead from the platform's to its root, the root included. Zero means 1: the root signs it.
	VerifyDepth int
	// CRLURLs are where the revocation lists can be fetched in DER: one for each certificate of ClientCA and for each authority between it and
	// the platform's certificate. The part of the configurations that uses them is handed out switched off; empty leaves it out.
	CRLURLs []string

	// Listen is where the developer's server listens. Without an address: on all of them; port 0 means 443. A zone is passed over.
	Listen netip.AddrPort

	// Renewal is how the certificate is renewed without a hand.
	Renewal Renewal
}

// Authority is a CA as others trust it.
type Authority struct {
	Name         string // names the file: 1 to 64 letters, digits, "-", "_" and "."
	Certificates []byte // PEM: its root, or all of them while one follows another
}

// File is a part of the bundle.
type File struct {
	Name    string      // relative, with slashes: "apache/www.example.com.conf"
	Mode    fs.FileMode // 0600 for those with the key, 0644 for the others
	Content []byte
}

// Files makes the files of the bundle, with the configurations for the named servers (see Servers), or for all of them if none is named:
//
//	www.example.com.crt          the certificate, then its chain
//	www.example.com.key          unless the developer made it
//	TencentQQAuthCA.crt          what callers are certified by
//	TencentQQAuthCA-Server.crt   the root of www.example.com.crt, if it is another
//	apache/www.example.com.conf, and so on: each server's configuration
//	caddy/TencentQQAuthCA-2.crt  while one root of the callers follows another: Caddy reads one of each file
//	tomcat/TencentQQAuthCA.p12   trust store and key store as Java reads them; the latter unless the developer made the key
//	tomcat/www.example.com.p12
//	renew/certbot.txt            and further ACME clients, if Input says how they reach their server
//	README.txt
//
// An error says what of the input does not fit together.
func Files(in Input, servers ...string) ([]File, error) {
	h, err := check(in)
	if err != nil {
		return nil, fmt.Errorf("packing the certificate for its server: %w", err)
	}
	if len(servers) == 0 {
		servers = Servers()
	}
	files := []File{{h.stem + ".crt", 0o644, encode(h.leaf, h.chain)}}
	if h.key != nil {
		key, err := pki.EncodeKey(h.key)
		if err != nil {
			return nil, err
		}
		files = append(files, File{h.stem + ".key", 0o600, key})
	}
	files = append(files, File{in.ClientCA.Name + ".crt", 0o644, encode(nil, h.clientCAs)})
	if h.ownRoot {
		files = append(files, File{in.Root.Name + ".crt", 0o644, encode(nil, h.roots)})
	}
	p := newPage(in, h, servers)
	for _, server := range servers {
		configuration, err := p.configuration(server)
		if err != nil {
			return nil, err
		}
		stores, err := storesFor(server, in, h)
		if err != nil {
			return nil, err
		}
		files = append(append(files, configuration...), stores...)
	}
	lines, err := renewal(in.Renewal, h.names)
	if err != nil {
		return nil, err
	}
	files = append(files, lines...)
	text, err := p.render(readme)
	if err != nil {
		return nil, err
	}
	return append(files, File{readme, 0o644, text}), nil
}

// Zip writes the files of the bundle (see Files) as a zip archive dated now. Nothing is written if there is an error in the input.
func Zip(w io.Writer, in Input, now time.Time, servers ...string) error {
	files, err := Files(in, servers...)
	if err != nil {
		return err
	}
	archive := zip.NewWriter(w)
	for _, file := range files {
		header := &zip.FileHeader{Name: file.Name, Method: zip.Deflate, Modified: now.UTC()}
		header.SetMode(file.Mode)
		entry, err := archive.CreateHeader(header)
		if err != nil {
			return fmt.Errorf("zipping %s: %w", file.Name, err)
		}
		if _, err := io.Copy(entry, bytes.NewReader(file.Content)); err != nil {
			return fmt.Errorf("zipping %s: %w", file.Name, err)
		}
	}
	if err := archive.Close(); err != nil {
		return fmt.Errorf("zipping: %w", err)
	}
	return nil
}
