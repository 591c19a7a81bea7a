package validate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/imca-project/imca/internal/egress"
	"github.com/imca-project/imca/internal/pki"
)

// DNS01 proves control over a name, or a wildcard below it, by a TXT record
// DNS01Value(keyAuthorization) at DNS01Name(name) (RFC 8555, Section 8.4). CNAMEs
// are followed; further records do not matter.
func (v *Validator) DNS01(ctx context.Context, name pki.Name, keyAuthorization string) error {
	if name.IsIP() {
		return &Error{Kind: KindMalformed, Name: name, Method: MethodDNS01,
			Detail: fmt.Sprintf("%s is an IP address, which dns-01 cannot prove; use http-01 or tls-alpn-01", name)}
	}
	at, value := DNS01Name(name), DNS01Value(keyAuthorization)
	mend := fmt.Sprintf("publish this record: %s. TXT %q", at, value)
	texts, where, err := v.lookupTXT(ctx, name, MethodDNS01, at, mend)
	if err != nil {
		return err
	}
	if slices.Contains(texts, value) {
		return nil
	}
	return &Error{Kind: KindUnauthorized, Name: name, Method: MethodDNS01, Detail: fmt.Sprintf(
		"none of the %s is the expected one; %s", describeTXT(texts, at, where), mend)}
}

// lookupTXT asks for the TXT records at a name of a method's own; where is the name
// at which CNAMEs ended.
func (v *Validator) lookupTXT(ctx context.Context, name pki.Name, method Method, at, mend string) (texts []string, where string, err error) {
	bounded, cancel := v.bound(ctx)
	defer cancel()
	texts, where, err = v.guard.LookupTXT(bounded, at)
	if absent(err) {
		return nil, "", &Error{Kind: KindUnauthorized, Name: name, Method: method, Err: err,
			Detail: fmt.Sprintf("there is no TXT record at %s; %s", at, mend)}
	}
	if err != nil {
		return nil, "", failure(ctx, name, method, string(method)+" for "+name.String(), err,
			"see that its name servers answer, then try again")
	}
	return texts, where, nil
}

// absent tells that the DNS was asked and holds no such record.
func absent(err error) bool {
	var dnsErr *egress.DNSError
	return errors.As(err, &dnsErr) && dnsErr.Absent()
}

// describeTXT says which records were found, and at the end of which alias.
func describeTXT(texts []string, at, where string) string {
	const most = 3
	var list []string
	for _, text := range texts[:min(len(texts), most)] {
		list = append(list, shown(text))
	}
	if len(texts) > most {
		list = append(list, "…")
	}
	if where != at {
		at += ", an alias of " + where
	}
	return fmt.Sprintf("%d TXT records at %s (%s)", len(texts), at, strings.Join(list, ", "))
}
