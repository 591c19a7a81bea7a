package wrong

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"time"

	_ "github.com/imca-project/imca/internal/judge"
)

var (
	calls int
	names = map[string]string{}
)

func Issue(template, parent *x509.Certificate, key crypto.Signer) ([]byte, error) {
	create := x509.CreateCertificate // also by another name
	return create(rand.Reader, template, parent, key.Public(), key)
}

func Sign(key crypto.Signer, digest []byte) ([]byte, error) {
	return (crypto.Signer).Sign(key, rand.Reader, digest, crypto.SHA256)
}

func Expired(certificate *x509.Certificate) bool {
	if time.Now().After(certificate.NotAfter) {
		return true
	}
	return false
}

func Caller(ctx context.Context) any {
	return ctx.Value("caller")
}

func Count(name string) {
	calls++
	names["last"] = name
	local := []string{""}
	local[0] = name
}

var Now = time.Now // the default of a clock is free
