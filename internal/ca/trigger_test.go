package ca_test

import (
	"database/sql"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
)

// sabotage makes the database refuse signatures, behind the store's back.
func sabotage(t *testing.T, url string) {
	t.Helper()
	statements := []string{
		`CREATE FUNCTION sabotage() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''sabotaged''; END'`,
		`CREATE TRIGGER sabotage BEFORE INSERT ON signatures FOR EACH ROW EXECUTE FUNCTION sabotage()`,
	}
	if strings.HasPrefix(url, "sqlite:") {
		statements = []string{
			`CREATE TRIGGER sabotage BEFORE INSERT ON signatures BEGIN SELECT RAISE(ABORT, 'sabotaged'); END`,
		}
	}
	behindTheStore(t, url, statements...)
}

// behindTheStore runs statements in a database.
func behindTheStore(t testing.TB, url string, statements ...string) {
	t.Helper()
	driver, source := "pgx", url
	if path, isSQLite := strings.CutPrefix(url, "sqlite:"); isSQLite {
		driver, source = "sqlite", path
	}
	db, err := sql.Open(driver, source)
	require.NoError(t, err)
	defer func() { _ = db.Close() }()
	for _, s := range statements {
		_, err := db.ExecContext(t.Context(), s)
		require.NoError(t, err)
	}
}

// The final commit fails after the signature was made: the certificate is not delivered, but it is known, and can be revoked.
func TestFinalCommitFails(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		f := newFixtureOn(t, url, ca.HierarchyDirect)
		sabotage(t, url)
		issued, err := f.Issue(t.Context(), developer, ca.IssueRequest{Domains: []string{"www.example.com"}})
		require.ErrorContains(t, err, "committing the certificate")
		require.Nil(t, issued)

		pending := f.all(ca.StatusPending)
		require.Len(t, pending, 1)
		serial := pending[0].Serial
		require.NotEmpty(t, pending[0].TBS)

		f.clock.advance(2 * time.Minute)
		findings, err := f.Examine(t.Context(), auditor, nil)
		require.NoError(t, err)
		require.Len(t, findings, 1)
		require.Equal(t, serial.String(), findings[0].Subject)
		require.Contains(t, findings[0].Detail, "imca revoke "+serial.String())

		f.open() // as after a restart
		f.load(f.store)
		cert, err := f.Revoke(t.Context(), developer, serial, pki.Superseded)
		require.NoError(t, err)
		require.Equal(t, ca.StatusRevoked, cert.Status(f.clock.Now()))
		require.Empty(t, f.all(ca.StatusPending))
		findings, err = f.Examine(t.Context(), auditor, nil)
		require.NoError(t, err)
		require.Empty(t, findings)
	})
}

// Whoever alters the stored certificates is found out.
func TestExamineFindsForgery(t *testing.T) {
	for name, test := range map[string]struct{ statement, finding string }{
		"a changed TBS":       {`UPDATE certificates SET tbs = zeroblob(300)`, "read"},
		"a changed signature": {`UPDATE signatures SET signature = zeroblob(70)`, "fingerprint"},
		"another profile":     {`UPDATE certificates SET profile = 'client'`, "profile"},
		"another authority":   {`UPDATE certificates SET authority = 'gone'`, "gone"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			issued := f.issue("www.example.com")
			findings, err := f.Examine(t.Context(), auditor, nil)
			require.NoError(t, err)
			require.Empty(t, findings)
			findings, err = f.ExamineCertificate(t.Context(), developer, issued.Certificate.Serial)
			require.NoError(t, err)
			require.Empty(t, findings)
			_, err = f.ExamineCertificate(t.Context(), stranger, issued.Certificate.Serial)
			refusal(t, err, ca.KindNotFound)

			db, err := sql.Open("sqlite", strings.TrimPrefix(f.url, "sqlite:"))
			require.NoError(t, err)
			defer func() { _ = db.Close() }()
			_, err = db.ExecContext(t.Context(), test.statement)
			require.NoError(t, err)
			findings, err = f.Examine(t.Context(), auditor, nil)
			require.NoError(t, err)
			require.Len(t, findings, 1)
			require.Equal(t, ca.SeverityFault, findings[0].Severity)
			require.Contains(t, findings[0].Detail, test.finding)

			one, err := f.ExamineCertificate(t.Context(), developer, issued.Certificate.Serial)
			require.NoError(t, err)
			require.Equal(t, findings, one)
		})
	}
}
