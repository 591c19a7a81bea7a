package inspect

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// each is a match for every pair that a test finds something in.
func (s *sight) each(test func(pair) []match) []match {
	var matches []match
	for _, p := range s.pairs {
		matches = append(matches, test(p)...)
	}
	return matches
}

// eachLeaf is each for pairs whose certificate could be read.
func (s *sight) eachLeaf(test func(p pair, leaf *x509.Certificate) []match) []match {
	return s.each(func(p pair) []match {
		if leaf := p.leaf(); leaf != nil {
			return test(p, leaf)
		}
		return nil
	})
}

// ownRules are the failures of the server's own certificate and key.
var ownRules = []rule{
	{
		code: "no_certificate", title: "The site speaks TLS and has no certificate", severity: Fault,
		when: func(s *sight) []match {
			return one(s.tls && len(s.settings[certificate]) == 0, func() match { return found(s.engine) })
		},
		why: "The server does not start, or refuses every handshake.", advice: "Name the certificate with {certificate}, and its key with {key}.",
	},
	{
		code: "file_missing", title: "A file that the configuration names is not there", severity: Fault,
		when: func(s *sight) []match {
			var matches []match
			for _, m := range s.materials() {
				if m.missing() {
					evidence := "there is no file " + m.path
					if m.err == errEmpty {
						evidence = m.path + " is empty"
					} else if near := nearby(m.path); near != "" {
						evidence += "; its folder has " + near
					}
					matches = append(matches, found(m.by, evidence))
				}
			}
			return matches
		},
		why:    "The server does not start with it, and keeps what it had at a reload. Paths that do not begin with / start at Apache's ServerRoot, or at the folder of nginx.conf.",
		advice: "Put the file there, or name the one that is there.",
	},
	{
		code: "cannot_read", title: "Who starts the server may not read the file", severity: Fault,
		when: func(s *sight) []match {
			var matches []match
			for _, m := range s.materials() {
				if m.missing() {
					continue
				}
				if m.denied() {
					s.cannotTell("what is in %s: you may not read it; ask again as root", m.path)
				}
				if forbids, may := s.reader.mayRead(m.path); !may {
					matches = append(matches, found(m.by, fmt.Sprintf("%s may not pass %s, whose mode forbids it", s.reader.name, forbids)))
				}
			}
			return matches
		},
		why: "The server does not start, or keeps the certificate that it had.", advice: "Let the user who starts the server read it, and nobody else if it is a key.",
	},
	{
		code: "unreadable_file", title: "A file is not what its directive wants", severity: Fault,
		when: func(s *sight) []match {
			var matches []match
			for _, m := range s.materials() {
				if m.err != nil && !m.missing() && !m.denied() && m.err != errEncrypted {
					matches = append(matches, found(m.by, m.path+": "+m.err.Error()))
				}
			}
			return matches
		},
		why: "The server does not start with it, or knows no CA.", advice: "Use the PEM file as it was handed out; openssl x509 -inform der -in FILE makes PEM of DER.",
	},
	{
		code: "key_encrypted", title: "The key is encrypted", severity: Warning,
		when: func(s *sight) []match {
			return s.each(func(p pair) []match {
				return one(p.key != nil && p.key.err == errEncrypted, func() match { return found(p.key.by, p.key.path) })
			})
		},
		why: "The server asks for the passphrase when it starts: after a reboot at night, nobody answers.", advice: "Decrypt it with openssl pkey, and keep it from everybody but root.",
	},
	{
		code: "key_mismatch", title: "The key does not belong to the certificate", severity: Fault,
		when: func(s *sight) []match {
			return s.eachLeaf(func(p pair, leaf *x509.Certificate) []match {
				if p.key == nil || p.key.key == nil || equalKeys(leaf.PublicKey, p.key.key.Public()) {
					return nil
				}
				m := found(p.key.by, fmt.Sprintf("%s is not the key of the first certificate in %s", p.key.path, p.certificate.path))
				if i := slices.IndexFunc(p.certificate.certificates, func(c *x509.Certificate) bool { return equalKeys(c.PublicKey, p.key.key.Public()) }); i > 0 {
					m.evidence = append(m.evidence, fmt.Sprintf("it is that of the certificate %d: the order is wrong", i+1))
				}
				return []match{m}
			})
		},
		why:    "The server does not start (Apache: AH02565), or ends every handshake (nginx, with keys of two kinds).",
		advice: "Put certificate and key of the same issuance side by side, the server's certificate first in its file.",
	},
	{
		code: "key_missing", title: "There is a certificate without its key", severity: Fault, unless: []string{"key_mismatch"},
		when: func(s *sight) []match {
			return s.each(func(p pair) []match {
				return one(p.key == nil && s.product == Nginx && len(s.settings[key]) < len(s.settings[certificate]), func() match { return found(p.certificate.by) })
			})
		},
		why: "nginx does not start.", advice: "Name the key with {key}.",
	},
	{
		code: "key_open", title: "Others may read the private key", severity: Warning,
		when: func(s *sight) []match {
			return s.each(func(p pair) []match {
				if p.key == nil || p.key.key == nil || p.key.mode.Perm()&0o007 == 0 {
					return nil
				}
				m := found(p.key.by, fmt.Sprintf("%s has the mode %04o", p.key.path, p.key.mode.Perm()))
				return []match{m.runs("chmod 600 " + shellWord(p.key.path))}
			})
		},
		why: "Whoever has an account on this machine, or makes a script of the site read it, can pass for your server.", advice: "Take the permission away: the server reads it as root, before it becomes somebody else.",
	},
	{
		code: "expired", title: "The certificate has expired", severity: Fault,
		when: func(s *sight) []match {
			return s.eachLeaf(func(p pair, leaf *x509.Certificate) []match {
				return one(s.now.After(leaf.NotAfter), func() match { return found(p.certificate.by, "it ended on "+stamp(leaf.NotAfter)) })
			})
		},
		why: "The platform refuses the server.", advice: "Have it renewed, put the new files in place, and reload; an ACME client does that by itself.",
	},
	{
		code: "not_yet_valid", title: "The certificate is not valid yet", severity: Fault,
		when: func(s *sight) []match {
			return s.eachLeaf(func(p pair, leaf *x509.Certificate) []match {
				return one(s.now.Before(leaf.NotBefore), func() match { return found(p.certificate.by, "it begins on "+stamp(leaf.NotBefore)) })
			})
		},
		why: "The platform refuses the server.", advice: "Look whether the clock of this machine is right.",
	},
	{
		code: "expires_soon", title: "The certificate expires soon", severity: Warning, unless: []string{"expired"},
		when: func(s *sight) []match {
			return s.eachLeaf(func(p pair, leaf *x509.Certificate) []match {
				// Of a short life, the last third is "soon".
				left, life := leaf.NotAfter.Sub(s.now), leaf.NotAfter.Sub(leaf.NotBefore)
				return one(left <= min(s.ExpiresSoon, life/3), func() match { return found(p.certificate.by, "it ends on "+stamp(leaf.NotAfter)) })
			})
		},
		why: "When it has ended, the platform refuses the server.", advice: "Renew it now, and have an ACME client renew it from then on.",
	},
	{
		code: "name_mismatch", title: "The certificate is for another name", severity: Fault,
		when: func(s *sight) []match {
			return s.eachLeaf(func(p pair, leaf *x509.Certificate) []match {
				var without []string
				for _, name := range s.names {
					if (hostname(name) || net.ParseIP(name) != nil) && strings.Contains(name, ".") && leaf.VerifyHostname(name) != nil {
						without = append(without, name)
					}
				}
				return one(len(without) > 0, func() match {
					m := found(p.certificate.by, fmt.Sprintf("the site is called %s", strings.Join(without, ", ")), "the certificate is for "+certified(leaf))
					if len(without) < len(s.names) {
						m = m.as(Warning)
					}
					return m
				})
			})
		},
		why: "The platform refuses a server whose certificate does not have the name that it called.", advice: "Have a certificate issued for the site's names, or give the site those of the certificate.",
	},
	{
		code: "self_signed", title: "The certificate is signed by itself", severity: Fault,
		when: func(s *sight) []match {
			return s.eachLeaf(func(p pair, leaf *x509.Certificate) []match {
				return one(bytes.Equal(leaf.RawSubject, leaf.RawIssuer) && leaf.CheckSignature(leaf.SignatureAlgorithm, leaf.RawTBSCertificate, leaf.Signature) == nil,
					func() match { return found(p.certificate.by, "its name is "+leaf.Subject.String()) })
			})
		},
		why: "No caller trusts it: it is the one that the server came with, perhaps, or that of the CA.", advice: "Name the file with the certificate that was issued for this site.",
	},
	{
		code: "chain_order", title: "The chain is in the wrong order", severity: Warning, unless: []string{"key_mismatch"},
		when: func(s *sight) []match {
			return s.eachLeaf(func(p pair, _ *x509.Certificate) []match {
				cs := p.certificate.certificates
				for i := range len(cs) - 1 {
					if !bytes.Equal(cs[i].RawIssuer, cs[i+1].RawSubject) {
						return []match{found(p.certificate.by, fmt.Sprintf("certificate %d (%s) does not certify certificate %d (%s)", i+2, cs[i+1].Subject, i+1, cs[i].Subject))}
					}
				}
				return nil
			})
		},
		why: "Not every client sorts them itself.", advice: "In one file: the server's certificate first, then each one that certifies the one before.",
	},
	{
		code: "chain_incomplete", title: "The chain does not lead to a root", severity: Fault, unless: []string{"self_signed"},
		when: func(s *sight) []match {
			if s.Roots == nil {
				s.cannotTell("whether the server's chain leads to a root: there are no roots to compare with")
				return nil
			}
			return s.eachLeaf(func(p pair, leaf *x509.Certificate) []match {
				between := x509.NewCertPool()
				for _, c := range p.certificate.certificates[1:] {
					between.AddCert(c)
				}
				_, err := leaf.Verify(x509.VerifyOptions{Roots: s.Roots, Intermediates: between, CurrentTime: latest(leaf.NotBefore, s.now, leaf.NotAfter),
					KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
				var unknown x509.UnknownAuthorityError
				if !errors.As(err, &unknown) {
					return nil
				}
				end := p.certificate.certificates[len(p.certificate.certificates)-1]
				m := found(p.certificate.by, fmt.Sprintf("the file holds %d certificate(s); that of %s is missing, or not one that the platform trusts",
					len(p.certificate.certificates), end.Issuer))
				m.likely = true
				return []match{m}
			})
		},
		why: "The platform does not know who vouches for the server, and refuses it. Browsers often find the missing certificate themselves, other clients do not.",
		advice: "Put the server's certificate and those between it and its root into one file (of public CAs it is often called fullchain). If another private CA has issued it, " +
			"give that with --server-ca.",
	},
	{
		code: "wrong_usage", title: "The certificate is not one for servers", severity: Fault,
		when: func(s *sight) []match {
			return s.eachLeaf(func(p pair, leaf *x509.Certificate) []match {
				fits := len(leaf.ExtKeyUsage)+len(leaf.UnknownExtKeyUsage) == 0 || slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageServerAuth) ||
					slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny)
				return one(!fits, func() match { return found(p.certificate.by, "its extended key usage lacks serverAuth") })
			})
		},
		why: "Callers refuse it.", advice: "Install the server certificate.",
	},
	{
		code: "weak", title: "The certificate is too weak", severity: Fault, unless: []string{"self_signed"},
		when: func(s *sight) []match {
			return s.eachLeaf(func(p pair, leaf *x509.Certificate) []match {
				if k, is := leaf.PublicKey.(*rsa.PublicKey); is && k.N.BitLen() < 2048 {
					return []match{found(p.certificate.by, fmt.Sprintf("an RSA key of %d bits; 2048 are the least", k.N.BitLen()))}
				}
				if slices.Contains([]x509.SignatureAlgorithm{x509.SHA1WithRSA, x509.ECDSAWithSHA1, x509.DSAWithSHA1, x509.MD5WithRSA}, leaf.SignatureAlgorithm) {
					return []match{found(p.certificate.by, fmt.Sprintf("it is signed with %s", leaf.SignatureAlgorithm))}
				}
				return nil
			})
		},
		why: "Callers refuse it, and so does OpenSSL at its usual level of security.", advice: "Have a new certificate issued, with a new key.",
	},
}

// materials are all files of the site.
func (s *sight) materials() []*material {
	var ms []*material
	for _, p := range s.pairs {
		ms = append(ms, p.certificate)
		if p.key != nil && (p.key.path != p.certificate.path || p.certificate.err == nil) {
			ms = append(ms, p.key)
		}
	}
	ms = append(ms, s.cas...)
	if s.list != nil {
		ms = append(ms, s.list)
	}
	return ms
}

// nearby are files beside one that is not there, by the same ending.
func nearby(path string) string {
	files, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*"+filepath.Ext(path)))
	if err != nil {
		return "" // the path is no pattern
	}
	var names []string
	for _, file := range files[:min(3, len(files))] {
		names = append(names, filepath.Base(file))
	}
	return strings.Join(names, ", ")
}

// equalKeys compares two public keys, of whatever kind.
func equalKeys(a, b crypto.PublicKey) bool {
	key, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && key.Equal(b)
}

// latest is now, or the end of the span that it is beyond: what has expired can have a chain all the same.
func latest(from, now, until time.Time) time.Time {
	switch {
	case now.Before(from):
		return from
	case now.After(until):
		return until
	}
	return now
}

// certified is what a certificate is for.
func certified(c *x509.Certificate) string {
	names := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		return "no name; the common name " + c.Subject.CommonName + " does not count"
	}
	return strings.Join(names[:min(len(names), 5)], ", ")
}

func stamp(at time.Time) string { return at.UTC().Format("2006-01-02 15:04 UTC") }

// shellWord is a word that a shell takes as it is.
func shellWord(text string) string {
	if strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-") == "" {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
