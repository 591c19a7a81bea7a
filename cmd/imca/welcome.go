package main

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/issuer"
)

// welcome tells a newcomer what runs, and what to do with it. Its commands can be pasted as they stand.
func (d dataFolder) welcome(p *program, s *Server, o devOptions) {
	issuers := s.ca.Issuers()
	serverCA := quoted(d.path(nameOfRoot(s.ca, issuer.ServerProfile) + ".crt"))
	imca := invocation()
	p.say("%s everything runs on this machine, and nobody else can reach it.\n", p.paint(strong, "imca dev:"))
	p.say("  REST   https://%s   described at https://%s/docs", o.https, o.https)
	p.say("  CA     http://%s/ca/%s.crt", o.http, issuers[0].Name())
	p.say("  Pages  %s   signs you in, once, as the developer of the demo app", d.link(s, o, demoToken))
	p.say("         %s   the same as operator; 'imca console link' makes more", d.link(s, o, operatorToken))
	p.say("  Data   %s   used again at the next start; remove it to begin anew\n", d)
	p.say("%s Paste this into another terminal, in this folder:\n", p.paint(strong, "Ask for a certificate."))
	p.say(`  curl --fail-with-body --cacert %s -H "Authorization: Bearer $(cat %s)" -H 'Accept: application/zip' -H 'Content-Type: application/json' -d '{"domain":"www.example.com"}' -o www.example.com.zip https://%s/v1/certificates`+"\n",
		serverCA, quoted(d.path(demoToken)), o.https)
	p.say("%s\n", p.paint(strong, "Then:"))
	p.say("  unzip -d www.example.com www.example.com.zip   # certificate, key, CA, configuration that works; README.txt tells the rest")
	p.say("  %s list   # what was issued; also: issue, show, renew, revoke", imca)
	p.say("  curl --cacert %s --cert %s --key %s https://www.example.com/   # call a developer's server as the platform does",
		serverCA, quoted(d.path(platformCert)), quoted(d.path(platformKey)))
	if !rootFor(issuers, issuer.ClientProfile).Equal(rootFor(issuers, issuer.ServerProfile)) {
		p.say("\nTwo roots: %s.crt is what developers' servers admit the platform by;\n%s.crt verifies the developers' servers, and this one.",
			nameOfRoot(s.ca, issuer.ClientProfile), nameOfRoot(s.ca, issuer.ServerProfile))
	}
	p.say("\nCtrl-C ends it.\n")
}

// link is where whoever has a token of the folder signs in without it; without a link, if none could be made.
func (d dataFolder) link(s *Server, o devOptions, token string) string {
	page := "https://" + o.https + "/signin"
	text, err := os.ReadFile(d.path(token))
	if err != nil {
		return page
	}
	who, err := s.ca.Authenticate(s.life, strings.TrimSpace(string(text)), "", "")
	if err != nil {
		return page
	}
	secret, _, err := s.ca.SignInLink(s.life, who)
	if err != nil {
		return page
	}
	return page + "/" + secret
}

// nameOfRoot is the name of the root above the authority that issues a profile.
func nameOfRoot(authority *ca.CA, profile string) string {
	root := rootFor(authority.Issuers(), profile)
	for _, i := range authority.Issuers() {
		if i.Certificate().Equal(root) {
			return i.Name()
		}
	}
	return ""
}

// invocation is how this program was called, so that what it prints can be pasted.
func invocation() string {
	path, err := os.Executable()
	switch {
	case err == nil && strings.Contains(path, "go-build"):
		return "go run ./cmd/imca"
	case strings.ContainsRune(os.Args[0], filepath.Separator):
		return quoted(os.Args[0])
	}
	return "imca"
}

// quoted is a text as one word of a shell.
func quoted(text string) string {
	if text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-/:@%+=,", r))
	}) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
