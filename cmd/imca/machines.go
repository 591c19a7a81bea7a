package main

import (
	"crypto/x509"
	"fmt"
	"time"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/config"
	"github.com/imca-project/imca/internal/issuer"
)

// machines are the operators' machines that are known by their client certificates.
type machines struct {
	pool  *x509.CertPool     // who certifies them; nil: there are none
	roles map[string]ca.Role // by common name
}

// newMachines reads who the machines are. The authorities of this CA do not count: they certify developers and the platform, by name, and
// nobody's role.
func newMachines(cfg config.Machines, own []*issuer.Issuer) (machines, error) {
	if cfg.CA == "" {
		return machines{}, nil
	}
	m := machines{roles: make(map[string]ca.Role)}
	var certificates []*x509.Certificate
	var err error
	if m.pool, certificates, err = readPool(cfg.CA); err != nil {
		return machines{}, fmt.Errorf("reading machines.ca: %w", err)
	}
	for _, c := range certificates {
		for _, i := range own {
			if string(c.RawSubjectPublicKeyInfo) == string(i.Certificate().RawSubjectPublicKeyInfo) {
				return machines{}, fmt.Errorf("reading machines.ca: %s is an authority of this server, whose certificates give no role: use another CA for machines", i.Name())
			}
		}
	}
	for role, names := range map[ca.Role][]string{ca.RoleAdmin: cfg.Admins, ca.RoleOperator: cfg.Operators, ca.RoleAuditor: cfg.Auditors} {
		for _, name := range names {
			m.roles[name] = role
		}
	}
	return m, nil
}

// recognizer fits ca.Config.Recognize; it is nil where there are no machines.
func (m machines) recognizer() func([]*x509.Certificate, time.Time) (ca.Identity, error) {
	if m.pool == nil {
		return nil
	}
	return m.recognize
}

func (m machines) recognize(chain []*x509.Certificate, now time.Time) (ca.Identity, error) {
	leaf, between := chain[0], x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots: m.pool, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return ca.Identity{}, &ca.Error{Kind: ca.KindUnauthenticated, Err: err, Detail: "This client certificate gives no role here: show one of the CA " +
			"that the server's setting machines.ca names, which is valid now and good for clientAuth, or send a token."}
	}
	name := leaf.Subject.CommonName
	role, known := m.roles[name]
	if !known {
		return ca.Identity{}, &ca.Error{Kind: ca.KindForbidden, Detail: fmt.Sprintf(
			"The machine %q has no role here: add its common name to the server's setting machines, or send a token.", name)}
	}
	return ca.Identity{Subject: name, Name: name, Role: role}, nil
}
