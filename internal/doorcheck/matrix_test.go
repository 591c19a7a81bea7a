package doorcheck

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/judge"
)

// row is one configuration of the matrix: what is done to a right one, and what the check must say.
type row struct {
	name  string
	lines []string // worked into the software's base configuration
	conf  string   // instead of the base
	// alter changes what the check is given.
	alter func(*Config, *Target, *world)

	admits, refuses Answer
	revoked         Answer // "": Unknown, for most rows show no revoked certificate
	ready           Answer // whether for what alter has stand by, whatever it is; "": nothing does
	codes           string // every fault and warning, in any order

	mend string                   // the finding whose lines are worked into the configuration; then the check is green
	cure func(conf string) string // what else a reader of the finding does, or does instead
}

// run starts the software with the row's configuration, checks its door, mends it, and checks again.
func (r row) run(t *testing.T, w *world, product Product) {
	t.Parallel()
	s := softwares[product]
	conf := r.conf
	if conf == "" {
		conf = s.base
	}
	conf = s.apply(conf, r.lines)
	port := judge.FreePort(t)
	var found *Report
	t.Run("wrong", func(t *testing.T) { // the server ends with the inner test, and leaves its port to its mended self
		s.start(t, w, fill(conf, w, port), port)
		found = r.check(t, w, port)
		r.expect(t, found)
		if recognised := found.Server.Product; recognised != Unrecognised && !(product == Caddy && recognised == Go) { // Caddy is made of Go
			assert.Equal(t, product, recognised, "%+v", found.Server)
		}
	})
	if r.mend == "" && r.cure == nil || found == nil {
		return
	}
	t.Run("mended", func(t *testing.T) {
		if r.mend != "" {
			conf = s.apply(conf, mendLines(t, found, r.mend, product))
		}
		if r.cure != nil {
			conf = r.cure(conf)
		}
		s.start(t, w, fill(conf, w, port), port)
		requireGreen(t, r.check(t, w, port))
	})
}

func (r row) check(t *testing.T, w *world, port int) *Report {
	t.Helper()
	config, target := w.config(), Target{URL: urlAt(port)}
	if r.alter != nil {
		r.alter(&config, &target, w)
	}
	report, err := Check(t.Context(), config, target)
	require.NoError(t, err)
	requireChinese(t, report)
	if os.Getenv("SHOW") != "" {
		t.Log(Render(report, Style{Verbose: true}))
	}
	return report
}

func (r row) expect(t *testing.T, found *Report) {
	t.Helper()
	revoked := r.revoked
	if revoked == "" {
		revoked = Unknown
	}
	ready := Answer("")
	for _, standby := range found.Standbys {
		ready = standby.Answer
	}
	want := fmt.Sprintf("admits %s, refuses %s, revoked %s, ready %q, %v", r.admits, r.refuses, revoked, r.ready, sorted(r.codes))
	got := fmt.Sprintf("admits %s, refuses %s, revoked %s, ready %q, %v",
		found.AdmitsPlatform.Answer, found.RefusesStrangers.Answer, found.RefusesRevoked.Answer, ready, codesOf(found))
	if want != got {
		t.Errorf("want %s\ngot  %s\n%s", want, got, Render(found, Style{Verbose: true}))
	}
}

func requireGreen(t *testing.T, found *Report) {
	t.Helper()
	for _, standby := range found.Standbys {
		assert.Equal(t, Yes, standby.Answer, "ready for %s: %s", standby.Authority, standby.Reason)
	}
	if found.Summary != Healthy || len(codesOf(found)) > 0 || found.RefusesRevoked.Answer == No {
		t.Errorf("the mended server is %s, %v\n%s", found.Summary, codesOf(found), Render(found, Style{Verbose: true}))
	}
}

// mendLines are those of a finding for the product, whether it was recognised or not.
func mendLines(t *testing.T, found *Report, code string, product Product) []string {
	t.Helper()
	finding := found.Finding(code)
	require.NotNil(t, finding, code)
	at := slices.IndexFunc(finding.Mends, func(m Mend) bool { return m.Server == product })
	require.GreaterOrEqual(t, at, 0, "%s has no lines for %s: %v", code, product, finding.Mends)
	return finding.Mends[at].Lines
}

func codesOf(r *Report) []string {
	codes := []string{}
	for _, f := range r.Findings {
		if f.Severity != Note {
			codes = append(codes, f.Code)
		}
	}
	slices.Sort(codes)
	return codes
}

func sorted(codes string) []string {
	list := strings.Fields(codes)
	slices.Sort(list)
	return append([]string{}, list...)
}

// withRevoked shows a revoked certificate too, withIntermediate one of an intermediate CA that stands by, withNext one of the next root.
func withRevoked(c *Config, _ *Target, w *world) { c.Canaries.Revoked = w.revoked.identity() }

func withIntermediate(c *Config, _ *Target, w *world) {
	c.Canaries.Standbys = append(c.Canaries.Standbys, Standby{caName + "-Issuing", w.behind.identity(), w.root.certificate})
	c.FurtherCAs = append(c.FurtherCAs, w.root.certificate)
}

func withNext(c *Config, _ *Target, w *world) {
	c.Canaries.Standbys = append(c.Canaries.Standbys, Standby{caName + "-G2", w.next.identity(), w.nextRoot.certificate})
	c.FurtherCAs = append(c.FurtherCAs, w.nextRoot.certificate)
}

func revokedAnd(with func(*Config, *Target, *world)) func(*Config, *Target, *world) {
	return func(c *Config, target *Target, w *world) {
		withRevoked(c, target, w)
		with(c, target, w)
	}
}

// instead is a cure that takes one file for another: what a reader does who fetches the published one.
func instead(file, other string) func(string) string {
	return func(conf string) string { return strings.ReplaceAll(conf, "{dir}/"+file, "{dir}/"+other) }
}

// platformBehind has the platform itself stand behind the intermediate CA, as in the hierarchy whose root key rests.
func platformBehind(c *Config, _ *Target, w *world) { c.Canaries.Platform = w.behind.identity() }

// chainedServer has the newest certificate of the server stand behind the intermediate CA.
func chainedServer(c *Config, _ *Target, w *world) { c.Issued = w.issuedNewest(w.chained.certificate) }

// withoutRecords knows nothing of what was issued.
func withoutRecords(c *Config, _ *Target, _ *world) { c.Issued = nil }

func path(p string) func(*Config, *Target, *world) {
	return func(_ *Config, target *Target, _ *world) { target.URL = strings.Replace(target.URL, "/callback", p, 1) }
}

func loopback(context.Context, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
}

func (w *world) issuedNewest(newest *x509.Certificate) func(context.Context, string, *x509.Certificate) (Record, error) {
	return func(_ context.Context, _ string, served *x509.Certificate) (Record, error) {
		ours := served.CheckSignatureFrom(w.root.certificate) == nil || served.CheckSignatureFrom(w.issuing.certificate) == nil
		return Record{Newest: newest, Ours: ours}, nil
	}
}

func encodePEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func TestMatrix(t *testing.T) {
	w := newWorld(t)
	for product, rows := range map[Product][]row{Apache: apacheRows, Nginx: nginxRows, HAProxy: haproxyRows, Caddy: caddyRows, Node: nodeRows} {
		t.Run(string(product), func(t *testing.T) {
			for _, r := range rows {
				t.Run(r.name, func(t *testing.T) { r.run(t, w, product) })
			}
		})
	}
}

func servedRevoked(c *Config, _ *Target, w *world) {
	c.Issued = func(context.Context, string, *x509.Certificate) (Record, error) {
		return Record{Ours: true, Revoked: true, RevokedAt: w.now}, nil
	}
}
