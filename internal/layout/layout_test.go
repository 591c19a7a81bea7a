// Package layout holds the architecture: which package may import which, and who may do the few things that only one place does.
//
// It reads the source as the compiler sees it, tests excluded, so a rule here is about what runs in production. It does not judge style.
package layout

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/go/packages"
)

const module = "github.com/imca-project/imca"

// A rule is one package, and the packages of ours that it may import, with the reason why no others. A package stands below all that it imports.
type rule struct {
	pkg string
	may []string
	why string
}

var rules = []rule{
	{".", nil, "it embeds openapi.yaml, the contract, and nothing else"},
	{"migrations", nil, "the schema is SQL alone"},
	{"internal/config", nil, "settings are text; what they mean is cmd's to wire"},
	{"internal/pki", nil, "the vocabulary is pure: everyone speaks it, it knows nobody"},
	{"internal/keys", []string{"internal/pki"}, "a key reference gives a crypto.Signer, whatever it is for; pki alone reads and writes PEM"},
	{"internal/egress", nil, "the guarded dialer serves whoever connects, and knows none of them"},
	{"internal/judge", nil, "test support must not share the faults of what it judges"},
	{"internal/issuer", []string{"internal/pki"}, "who may sign is decided above; the signer cannot be talked around by what it imports"},
	{"internal/ca", []string{"internal/pki", "internal/issuer"}, "every rule is here, so nothing here may depend on a door or on a database"},
	{"internal/validate", []string{"internal/pki", "internal/egress"}, "it says what it saw; what follows from it is a rule of ca"},
	{"internal/doorcheck", []string{"internal/pki", "internal/egress"}, "it says what it saw; what follows from it is a rule of ca"},
	{"internal/inspect", []string{"internal/pki"}, "it reads a machine's files; what of ours to hold them against is given to it"},
	{"internal/keep", []string{"internal/pki"}, "it judges files; how they come here is given to it"},
	{"internal/acmelines", []string{"internal/pki"}, "it writes what it is given"},
	{"internal/bundle", []string{"internal/pki", "internal/acmelines"}, "it packs what it is given"},
	{"internal/handover", []string{"internal/pki", "internal/ca", "internal/bundle"}, "it serves the doors that hand certificates over, so it knows none of them"},
	{"internal/oidc", []string{"internal/ca"}, "it says who somebody is; what they may do is a rule of ca"},
	{"internal/web", []string{"internal/ca"}, "it is shared by the doors, so it knows none of them"},
	{"api", []string{".", "internal/pki", "internal/ca", "internal/handover", "internal/acmelines", "internal/bundle", "internal/web"}, "a door knows no other door and no database"},
	{"api/apitest", []string{"."}, "the contract judges any door, so it knows none"},
	{"internal/status", []string{"internal/pki", "internal/ca", "internal/web"}, "a door knows no other door and no database"},
	{"internal/acme/jws", nil, "signed requests are checked before anything is known about them"},
	{"internal/acme", []string{"internal/pki", "internal/ca", "internal/web", "internal/acme/jws"}, "a door knows no other door and no database"},
	{"internal/phrasebook", nil, "it knows texts, and nobody who says them"},
	{"internal/console", []string{"internal/pki", "internal/ca", "internal/bundle", "internal/acmelines", "internal/handover", "internal/phrasebook", "internal/web"}, "a door knows no other door and no database"},
	{"internal/watch", []string{"internal/pki", "internal/ca"}, "it reads as a stranger would, so it shares nothing with what makes what it reads"},
	{"internal/store", []string{"internal/pki", "internal/ca", "internal/acme", "migrations"}, "it fulfils the contracts of ca and acme, and decides nothing"},
	{"internal/store/storetest", []string{"internal/pki", "internal/issuer", "internal/ca", "internal/acme"}, "the suite judges any store, so it knows none"},
	{"cmd/imca", []string{
		".", "migrations", "api", "internal/acme", "internal/acmelines", "internal/bundle", "internal/ca", "internal/config", "internal/console", "internal/doorcheck",
		"internal/egress", "internal/inspect", "internal/issuer", "internal/keep", "internal/keys", "internal/oidc", "internal/pki", "internal/status", "internal/store", "internal/validate", "internal/watch", "internal/web",
	}, "it wires all of them, but for what only tests use"},
}

// A use is something that the language offers everybody and that we leave to the named packages.
type use struct {
	of      []string          // as go/types names them
	leftTo  map[string]string // package and reason
	asValue bool              // naming it without calling it is free
	why     string
}

var uses = []use{
	{
		of: []string{
			"crypto/x509.CreateCertificate", "crypto/x509.CreateRevocationList", "(*crypto/x509.Certificate).CreateCRL",
			"golang.org/x/crypto/ocsp.CreateResponse",
			"(crypto.Signer).Sign", "(crypto.MessageSigner).SignMessage", "crypto.SignMessage", "crypto/ecdsa.Sign", "crypto/ecdsa.SignASN1",
			"crypto/ed25519.Sign", "crypto/rsa.SignPKCS1v15", "crypto/rsa.SignPSS",
			"(*crypto/ecdsa.PrivateKey).Sign", "(crypto/ed25519.PrivateKey).Sign", "(*crypto/rsa.PrivateKey).Sign",
		},
		leftTo: map[string]string{
			"internal/issuer":    "after the checking step, against a one-use token",
			"internal/doorcheck": "a stranger's certificate to knock with, by a key that is made for it; it has no key of ours",
		},
		why: "only internal/issuer signs",
	},
	{
		of: []string{"time.Now", "time.Since", "time.Until"},
		leftTo: map[string]string{
			"cmd/imca":         "it wires the clock",
			"internal/judge":   "it waits for processes",
			"internal/egress":  "the deadline of a connection is compared with the runtime's own clock",
			"internal/status":  "so is that of a long answer",
			"internal/console": "and that of an export",
		},
		asValue: true, // the default of a Config's Now field
		why:     "now is a field of Config, asked once per verb and passed down",
	},
	{
		of:     []string{"(context.Context).Value", "context.WithValue"},
		leftTo: map[string]string{"internal/web": "the request id"},
		why:    "a context carries deadlines and the request id; who asks is an argument",
	},
}

func TestRulesAreInOrder(t *testing.T) {
	var above []string
	for _, r := range rules {
		require.NotContains(t, above, r.pkg, "listed twice")
		for _, imported := range r.may {
			require.Contains(t, above, imported, "%s may import only what stands above it; otherwise there could be a cycle", r.pkg)
		}
		above = append(above, r.pkg)
	}
}

func TestLayout(t *testing.T) {
	loaded := load(t, module+"/...")
	require.NotEmpty(t, loaded)
	for _, pkg := range loaded {
		require.Empty(t, inspect(pkg), pkg.PkgPath)
	}
}

// TestLayoutFindsEveryFault shows each check a package that breaks it.
func TestLayoutFindsEveryFault(t *testing.T) {
	loaded := load(t, "./testdata/wrong")
	require.Len(t, loaded, 1)
	faults := strings.Join(inspect(loaded[0]), "\n")
	for _, want := range []string{
		"is not in the table of packages",
		"needs exactly one package comment, has 0",
		"imports internal/judge",
		"wrong.go:19:17: uses crypto/x509.CreateCertificate",
		"wrong.go:24:25: uses (crypto.Signer).Sign",
		"wrong.go:28:10: calls time.Now",
		"wrong.go:35:13: uses (context.Context).Value",
		"wrong.go:39:2: assigns to the package's variable calls",
		"wrong.go:40:2: assigns to the package's variable names",
	} {
		require.Contains(t, faults, want)
	}
	require.Equal(t, 9, strings.Count(faults, "\n")+1, faults)
}

// load reads packages without their tests. An error in one of them is the compiler's to tell.
func load(t *testing.T, pattern string) []*packages.Package {
	t.Helper()
	loaded, err := packages.Load(&packages.Config{
		Context: t.Context(),
		Mode: packages.NeedName | packages.NeedFiles | packages.NeedImports | packages.NeedCompiledGoFiles | packages.NeedSyntax |
			packages.NeedTypes | packages.NeedTypesInfo,
	}, pattern)
	require.NoError(t, err)
	var ours []*packages.Package
	for _, pkg := range loaded {
		require.Empty(t, pkg.Errors, pkg.PkgPath)
		if len(pkg.GoFiles) > 0 { // this package has none but its tests
			ours = append(ours, pkg)
		}
	}
	return ours
}

// inspect lists the faults of a package.
func inspect(pkg *packages.Package) []string {
	name := short(pkg.PkgPath)
	faults := imports(pkg, name)
	faults = append(faults, comment(pkg)...)
	faults = append(faults, reserved(pkg, name)...)
	return append(faults, state(pkg)...)
}

// short is a package's path within the module, "." for the module itself.
func short(path string) string {
	if path == module {
		return "."
	}
	return strings.TrimPrefix(path, module+"/")
}

func imports(pkg *packages.Package, name string) []string {
	i := slices.IndexFunc(rules, func(r rule) bool { return r.pkg == name })
	var faults []string
	r := rule{why: "nothing is allowed before the table says so"}
	if i < 0 {
		faults = append(faults, "is not in the table of packages: say there what it may import, and why")
	} else {
		r = rules[i]
	}
	for path := range pkg.Imports {
		if path != module && !strings.HasPrefix(path, module+"/") {
			continue
		}
		if !slices.Contains(r.may, short(path)) {
			faults = append(faults, fmt.Sprintf("imports %s: %s", short(path), r.why))
		}
	}
	return faults
}

func comment(pkg *packages.Package) []string {
	count := 0
	for _, file := range pkg.Syntax {
		if file.Doc != nil {
			count++
		}
	}
	if count != 1 {
		return []string{fmt.Sprintf("needs exactly one package comment, has %d", count)}
	}
	return nil
}
