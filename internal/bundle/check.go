package bundle

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/imca-project/imca/internal/pki"
)

// What may stand in a file name, a configuration and a line for a shell, in each of which it has to be harmless as it is.
var (
	authorityName   = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,79}$`) // 64 characters and a suffix
	plainCommonName = regexp.MustCompile(`^[A-Za-z0-9_.-]+( [A-Za-z0-9_.-]+)*$`)
	plainURL        = regexp.MustCompile(`^https?://[A-Za-z0-9\[][A-Za-z0-9._~:/?\[\]@&=+,%-]*$`)
)

const (
	maxCommonName = 64 // RFC 5280, Appendix A.1, ub-common-name
	maxDepth      = 9
	maxStem       = 200 // file systems take 255 octets, and endings are added
)

// issued is a certificate with what belongs to it.
type issued struct {
	leaf  *x509.Certificate
	chain []*x509.Certificate // the issuer of leaf first
	roots []*x509.Certificate // the last of chain comes from one of them
	key   crypto.Signer       // nil: the developer has it
}

// handover is an Input that fits together.
type handover struct {
	issued
	stem      string
	names     []pki.Name
	clientCAs []*x509.Certificate
	issuers   []*x509.Certificate // of the platform's certificates; nil where that is not known
	ownRoot   bool                // whether the server's root is another than the callers'
}

func check(in Input) (handover, error) {
	i, err := checkIssued(in)
	if err != nil {
		return handover{}, err
	}
	h := handover{issued: i}
	if !slices.Contains(h.leaf.ExtKeyUsage, x509.ExtKeyUsageServerAuth) {
		return handover{}, errors.New("the certificate is not for servers (EKU serverAuth): this is made for server certificates only")
	}
	if h.names, err = names(h.leaf); err != nil {
		return handover{}, err
	}
	h.stem = Stem(h.names[0])
	if h.clientCAs, err = in.ClientCA.roots(); err != nil {
		return handover{}, fmt.Errorf("the authority of the callers: %w", err)
	}
	if err := in.checkPlatform(); err != nil {
		return handover{}, err
	}
	switch {
	case len(in.ClientIssuers) > 0:
		if h.issuers, err = pki.ParseCertificates(in.ClientIssuers); err != nil {
			return handover{}, fmt.Errorf("those who certify the platform: %w", err)
		}
	case in.VerifyDepth <= 1:
		h.issuers = h.clientCAs
	}
	h.ownRoot = slices.ContainsFunc(h.roots, func(root *x509.Certificate) bool { return !slices.ContainsFunc(h.clientCAs, root.Equal) })
	if h.ownRoot && strings.EqualFold(in.Root.Name, in.ClientCA.Name) {
		return handover{}, fmt.Errorf("two authorities are called %s: their files need different names", in.Root.Name)
	}
	for strings.EqualFold(in.Root.Name, h.stem) || strings.EqualFold(in.ClientCA.Name, h.stem) {
		h.stem += "-server" // an authority has its name for it
	}
	return h, nil
}

// checkIssued holds certificate, chain, root and key against each other. A server that is given others does not start.
func checkIssued(in Input) (issued, error) {
	leaves, err := pki.ParseCertificates(in.Certificate)
	if err != nil {
		return issued{}, fmt.Errorf("the certificate: %w", err)
	}
	if len(leaves) > 1 {
		return issued{}, fmt.Errorf("the certificate: there are %d: put those above it into the chain", len(leaves))
	}
	i := issued{leaf: leaves[0]}
	if len(bytes.TrimSpace(in.Chain)) > 0 {
		if i.chain, err = pki.ParseCertificates(in.Chain); err != nil {
			return issued{}, fmt.Errorf("the chain: %w", err)
		}
	}
	if i.roots, err = in.Root.roots(); err != nil {
		return issued{}, fmt.Errorf("the root: %w", err)
	}
	below := i.leaf
	for _, above := range i.chain {
		if err := below.CheckSignatureFrom(above); err != nil {
			return issued{}, fmt.Errorf("the chain: %q is not issued by %q, which follows it: give the chain in order, each issued by the next: %w", below.Subject, above.Subject, err)
		}
		below = above
	}
	if !slices.ContainsFunc(i.roots, func(root *x509.Certificate) bool { return below.CheckSignatureFrom(root) == nil }) {
		return issued{}, fmt.Errorf("the chain: %q, its last, is not issued by %s: give every certificate up to, without, the root", below.Subject, in.Root.Name)
	}
	if in.Key == nil {
		return i, nil
	}
	if i.key, err = pki.ParseKey(in.Key); err != nil {
		return issued{}, fmt.Errorf("the key: %w", err)
	}
	if !i.leaf.PublicKey.(interface{ Equal(crypto.PublicKey) bool }).Equal(i.key.Public()) {
		return issued{}, errors.New("the key is not the certificate's: give the one that was made with it, or none")
	}
	return i, nil
}

// roots reads the certificates, none of which a server would take but a self-signed one.
func (a Authority) roots() ([]*x509.Certificate, error) {
	if !authorityName.MatchString(a.Name) {
		return nil, fmt.Errorf("the name %q cannot name a file: give letters, digits, \"-\", \"_\" and \".\"", a.Name)
	}
	roots, err := pki.ParseCertificates(a.Certificates)
	if err != nil {
		return nil, err
	}
	for _, root := range roots {
		// OpenSSL accepts no partial chains unless told to, and neither Apache nor nginx tells it.
		if err := root.CheckSignatureFrom(root); err != nil {
			return nil, fmt.Errorf("%q has not signed itself, and servers trust no other: give the root: %w", root.Subject, err)
		}
	}
	return roots, nil
}

func (in Input) checkPlatform() error {
	name := in.ClientName
	if name.IsZero() || name.IsIP() || name.IsWildcard() || len(name.String()) > maxCommonName {
		return fmt.Errorf("the platform's name %q: give a DNS name of at most %d characters, as its certificate has it for common name", name, maxCommonName)
	}
	if in.VerifyDepth < 0 || in.VerifyDepth > maxDepth {
		return fmt.Errorf("the depth %d: give how many certificates lead from the platform's to its root, 1 to %d", in.VerifyDepth, maxDepth)
	}
	for _, url := range in.CRLURLs {
		if !plainURL.MatchString(url) {
			return fmt.Errorf("the address of the revocation list %q: give an http or https URL without spaces, quotes and other special characters", url)
		}
	}
	return nil
}

// names are those that the certificate is for, host names first.
func names(leaf *x509.Certificate) ([]pki.Name, error) {
	var names []pki.Name
	for _, text := range leaf.DNSNames {
		name, err := pki.ParseName(text)
		if err != nil {
			return nil, fmt.Errorf("the certificate's name %w", err)
		}
		names = append(names, name)
	}
	for _, ip := range leaf.IPAddresses {
		name, err := pki.ParseName(ip.String())
		if err != nil {
			return nil, fmt.Errorf("the certificate's name %w", err)
		}
		names = append(names, name)
	}
	if names == nil {
		return nil, errors.New("the certificate has no names: give one with a host name or an address")
	}
	return names, nil
}

// Stem is what the files of a certificate are called, after its first name and before their endings: "www.example.com";
// "wildcard.example.com" for *.example.com; "2001-db8--1" for 2001:db8::1. A name too long for a file is cut.
func Stem(name pki.Name) string {
	stem := strings.ReplaceAll(name.String(), ":", "-")
	if name.IsWildcard() {
		stem = "wildcard." + name.Base().String()
	}
	if len(stem) > maxStem {
		stem = stem[:maxStem]
	}
	return strings.Trim(stem, "-.")
}

func encode(leaf *x509.Certificate, above []*x509.Certificate) []byte {
	var b bytes.Buffer
	if leaf != nil {
		b.Write(pki.EncodeCertificate(leaf.Raw))
	}
	for _, certificate := range above {
		b.Write(pki.EncodeCertificate(certificate.Raw))
	}
	return b.Bytes()
}
