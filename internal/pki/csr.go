package pki

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// MaxCSRSize is the most octets that ParseCSR looks at: a hundred of the longest
// names and an RSA-4096 key, in PEM, fit.
const MaxCSRSize = 64 << 10

// CSR is what of a certificate signing request counts (RFC 2986): the names that
// it asks for and the key, whose possession its signature has proven (but see
// ReadCSR). Nothing else in it has any effect.
type CSR struct {
	Names     []Name           // subject alternative names, then common names; each once
	PublicKey crypto.PublicKey // of a served type, see CheckPublicKey
	Ignored   []string         // what it asks for beyond that and does not get, in words; a stranger's texts are quoted
	Raw       []byte           // DER
}

// ParseCSR reads a certificate signing request in PEM or DER, and checks its
// signature and its key. A common name counts as a name too (RFC 8555,
// Section 7.4, permits either place), unless it is none and subject alternative
// names are there. Mail addresses, URIs and the like among the names are an error.
func ParseCSR(data []byte) (*CSR, error) {
	csr, request, err := readCSR(data)
	if err != nil {
		return nil, err
	}
	if err := request.CheckSignature(); err != nil {
		return nil, fmt.Errorf("the signature of the certificate signing request is wrong, so nobody has shown to hold its key: make it again, and sign it with the key that it is for: %w", err)
	}
	return csr, nil
}

// ReadCSR is ParseCSR without a look at the signature, which takes longer than all
// the rest: for those who compare a request with something before it is granted.
func ReadCSR(data []byte) (*CSR, error) {
	csr, _, err := readCSR(data)
	return csr, err
}

func readCSR(data []byte) (*CSR, *x509.CertificateRequest, error) {
	if len(data) > MaxCSRSize {
		return nil, nil, fmt.Errorf("the certificate signing request is larger than %d KiB: give the request alone, with fewer names", MaxCSRSize>>10)
	}
	der, err := requestDER(data)
	if err != nil {
		return nil, nil, err
	}
	request, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, nil, fmt.Errorf("the certificate signing request cannot be read: make it again, with a key of one of %s: %w", keyTypeList(), err)
	}
	if request.PublicKey == nil {
		return nil, nil, fmt.Errorf("the key of the certificate signing request is of a kind that is not served: make one of %s", keyTypeList())
	}
	// The key comes before the signature: an RSA key of absurd size would take
	// its time to verify.
	if err := CheckPublicKey(request.PublicKey); err != nil {
		return nil, nil, fmt.Errorf("the key of the certificate signing request: %w", err)
	}
	csr := &CSR{PublicKey: request.PublicKey, Raw: der}
	if err := csr.readNames(request); err != nil {
		return nil, nil, fmt.Errorf("the names of the certificate signing request: %w", err)
	}
	if err := csr.readIgnored(request); err != nil {
		return nil, nil, fmt.Errorf("the certificate signing request is broken: make it again: %w", err)
	}
	return csr, request, nil
}

// requestDER finds the one request in the data.
func requestDER(data []byte) ([]byte, error) {
	const advice = "give a certificate signing request, which begins with -----BEGIN CERTIFICATE REQUEST----- (`openssl req -new` makes one)"
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, errors.New("the certificate signing request is empty: " + advice)
	}
	if !looksLikePEM(data) {
		if data[0] != byte(asn1.SEQUENCE) {
			return nil, errors.New("this is neither PEM nor DER: " + advice)
		}
		return data, nil
	}
	block, rest := nextBlock(data)
	switch {
	case block == nil:
		return nil, errors.New("the PEM is broken: give it whole, with its BEGIN and END lines and its line breaks; " + advice)
	case block.Type != pemRequest && block.Type != pemRequestOld:
		return nil, errors.New("this is " + describeBlock(block.Type) + ": " + advice)
	case looksLikePEM(rest):
		return nil, errors.New("there is more than one PEM block: give the certificate signing request alone")
	case len(bytes.TrimSpace(rest)) > 0:
		return nil, errors.New("something follows the certificate signing request: give it alone")
	}
	return block.Bytes, nil
}

// readNames collects the names, the alternative ones first.
func (c *CSR) readNames(request *x509.CertificateRequest) error {
	var texts []string
	for _, extension := range request.Extensions {
		if extension.Id.String() == oidSubjectAltName {
			alternative, err := readSubjectAltName(extension.Value)
			if err != nil {
				return err
			}
			texts = append(texts, alternative...)
		}
	}
	alternatives := len(texts)
	for _, attribute := range request.Subject.Names {
		if attribute.Type.String() != oidCommonName {
			continue
		}
		common, isText := attribute.Value.(string)
		if _, err := ParseName(common); alternatives > 0 && (!isText || err != nil) {
			c.Ignored = append(c.Ignored, "subject CN="+quote(fmt.Sprint(attribute.Value)))
			continue
		}
		texts = append(texts, common)
	}
	var err error
	c.Names, err = ParseNames(texts)
	return err
}

// readSubjectAltName lists the names of the extension, RFC 5280, Section 4.2.1.6.
// crypto/x509 passes over the kinds that it does not know; a certificate without a
// name that was asked for would disappoint later.
func readSubjectAltName(value []byte) ([]string, error) {
	const advice = "ask for DNS names and IP addresses only"
	var texts []string
	input := cryptobyte.String(value)
	var list cryptobyte.String
	if !input.ReadASN1(&list, asn1.SEQUENCE) || !input.Empty() {
		return nil, errors.New("the subject alternative name is broken: make the request again")
	}
	for !list.Empty() {
		var content cryptobyte.String
		var tag asn1.Tag
		if !list.ReadAnyASN1(&content, &tag) {
			return nil, errors.New("the subject alternative name is broken: make the request again")
		}
		switch tag {
		case asn1.Tag(2).ContextSpecific():
			texts = append(texts, string(content))
		case asn1.Tag(7).ContextSpecific():
			addr, ok := netip.AddrFromSlice(content)
			if !ok {
				return nil, fmt.Errorf("an IP address of %d octets: it has 4 or 16", len(content))
			}
			texts = append(texts, addr.String())
		case asn1.Tag(1).ContextSpecific():
			return nil, errors.New("the mail address " + quote(string(content)) + ": " + advice)
		case asn1.Tag(6).ContextSpecific():
			return nil, errors.New("the URI " + quote(string(content)) + ": " + advice)
		default:
			return nil, errors.New("a name that is neither a DNS name nor an IP address: " + advice)
		}
	}
	return texts, nil
}
