package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/judge"
	"github.com/imca-project/imca/internal/pki"
)

var planEpoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// planned is a list, and the index that it must be read from.
type planned struct {
	name  string
	query ca.CertificateQuery
	index string // without a filter on the app
	app   string // with one
}

// plannedLists are every filter alone, and what people combine.
func plannedLists() []planned {
	digest := sha256.Sum256([]byte("1"))
	now := planEpoch.Add(110 * 24 * time.Hour)
	domain := pki.RecordedName("www.h77.example7.com")
	status := func(s ca.Status) ca.CertificateQuery { return ca.CertificateQuery{Status: s, Now: now} }
	valid := status(ca.StatusValid)
	validUntil := valid
	validUntil.ExpiresBefore = now.Add(30 * 24 * time.Hour)
	validUnder := valid
	validUnder.Suffix = "example7.com"
	validIssued := valid
	validIssued.IssuedAfter, validIssued.IssuedBefore = planEpoch.AddDate(0, 0, 20), planEpoch.AddDate(0, 0, 30)
	validOf := valid
	validOf.Domain = domain
	return []planned{
		{"all", ca.CertificateQuery{}, "certificates_created", "certificates_app_created"},
		{"fingerprint", ca.CertificateQuery{Fingerprint: &digest}, "signatures_fingerprint", "signatures_fingerprint"},
		{"key", ca.CertificateQuery{SPKIHash: &digest}, "certificates_key", "certificates_key"},
		{"domain", ca.CertificateQuery{Domain: domain}, "certificate_names_pkey", "certificate_names_app"},
		{"suffix", ca.CertificateQuery{Suffix: "example7.com"}, "certificate_names_pkey", "certificate_names_app"},
		{"wide suffix", ca.CertificateQuery{Suffix: "com"}, "certificate_names_pkey", "certificate_names_app"},
		{"authority", ca.CertificateQuery{Authority: "Old"}, "certificates_authority_created", "certificates_app_created"},
		{"profile", ca.CertificateQuery{Profile: "server"}, "certificates_profile_created", "certificates_app_created"},
		{"pending", status(ca.StatusPending), "pending_pkey", "pending_pkey"},
		{"valid", valid, "signatures_expiry", "signatures_app_expiry"},
		{"expired", status(ca.StatusExpired), "signatures_expiry", "signatures_app_expiry"},
		{"revoked", status(ca.StatusRevoked), "revocations_time", "revocations_app_time"},
		{"expires after", ca.CertificateQuery{ExpiresAfter: now}, "certificates_expiry", "certificates_app_expiry"},
		{"expires before", ca.CertificateQuery{ExpiresBefore: now}, "certificates_expiry", "certificates_app_expiry"},
		{"issued after", ca.CertificateQuery{IssuedAfter: planEpoch.Add(time.Hour)}, "certificates_created", "certificates_app_created"},
		{"issued before", ca.CertificateQuery{IssuedBefore: now}, "certificates_created", "certificates_app_created"},
		{"valid, by expiry", validUntil, "signatures_expiry", "signatures_app_expiry"},
		{"valid under a suffix", validUnder, "certificate_names_pkey", "certificate_names_app"},
		{"valid, by issue", validIssued, "certificates_created", "certificates_app_created"},
		{"valid of a domain", validOf, "certificate_names_pkey", "certificate_names_app"},
	}
}

// each runs a test for every list, with and without the app, from the first page and from a later one.
func eachPlanned(t *testing.T, test func(t *testing.T, q ca.CertificateQuery, index string)) {
	for _, p := range plannedLists() {
		for _, app := range []string{"", "app-1"} {
			for _, later := range []bool{false, true} {
				q, index := p.query, p.index
				q.Limit = 50
				if q.App = app; app != "" {
					index = p.app
				}
				if later {
					q.Beyond = ca.Cursor{Name: "com.example7.h5.www.", Time: planEpoch.Add(100 * 24 * time.Hour), Serial: pki.Serial{1}}
				}
				t.Run(fmt.Sprintf("%s app=%s later=%t", p.name, app, later), func(t *testing.T) { test(t, q, index) })
			}
		}
	}
}

// TestPlansSQLite: without statistics, which SQLite has not unless someone makes them, a plan does not depend on what is stored.
func TestPlansSQLite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "imca.db")
	require.NoError(t, Migrate(t.Context(), "sqlite:"+path))
	db, err := openSQLite(t.Context(), path)
	require.NoError(t, err)
	defer db.close()

	explain := func(t *testing.T, statement string, args []any) (steps []string) {
		t.Helper()
		require.NoError(t, db.list(t.Context(), func(r row) error {
			var id, parent, unused int
			var step string
			err := r.Scan(&id, &parent, &unused, &step)
			steps = append(steps, step)
			return err
		}, "EXPLAIN QUERY PLAN "+statement, args...))
		return steps
	}
	eachPlanned(t, func(t *testing.T, q ca.CertificateQuery, index string) {
		_, statement, args := listStatement(db, q)
		steps := explain(t, statement, args)
		// SQLite's own names for what a constraint makes.
		name := strings.NewReplacer("certificate_names_pkey", "PRIMARY KEY", "pending_pkey", "PRIMARY KEY", "signatures_fingerprint", "sqlite_autoindex_signatures_2").Replace(index)
		if steps[0] != "SCAN p" { // which is its primary key, in order
			require.Contains(t, steps[0]+" ", " "+name+" ", steps)
		}
		for i, step := range steps {
			require.NotContains(t, step, "TEMP B-TREE", steps)
			require.False(t, i > 0 && strings.HasPrefix(step, "SCAN"), steps)
		}
	})
	eachCount(func(what ca.Occurrence, bounds []time.Time, index string) {
		statement, args, err := countStatement(what, bounds)
		require.NoError(t, err)
		counted := 0
		for _, step := range explain(t, statement, args) {
			require.NotContains(t, step, "SCAN", what)
			if strings.HasPrefix(step, "SEARCH") {
				require.Contains(t, step, " INDEX "+index+" ", what)
				require.Equal(t, what != ca.WillEnd, strings.Contains(step, "USING COVERING INDEX"), "SQLite looks up what a partial index is known to say")
				counted++
			}
		}
		require.Equal(t, len(bounds)-1, counted)
	})
	eachEventQuery(func(q ca.EventQuery, index string) {
		statement, args := eventStatement(db, q)
		steps := explain(t, statement, args)
		require.Len(t, steps, 1)
		require.Contains(t, steps[0]+" ", " "+strings.Replace(index, "events_pkey", "sqlite_autoindex_events_1", 1)+" ", steps)
	})
	eachDomainQuery(func(q ca.DomainQuery, index string) {
		condition, args := domainStatement(db, q)
		steps := explain(t, "SELECT * FROM domains"+condition, args)
		require.Len(t, steps, 1, "%+v", q)
		require.Contains(t, steps[0]+" ", " "+strings.Replace(index, "domains_pkey", "sqlite_autoindex_domains_1", 1)+" ", "%+v", q)
	})
	eachCheckQuery(func(q ca.CheckQuery, index string) {
		condition, args := checkStatement(db, q)
		steps := explain(t, "SELECT * FROM checks"+condition, args)
		require.Len(t, steps, 1, "%+v", q)
		require.Contains(t, steps[0]+" ", " "+strings.Replace(index, "checks_pkey", "sqlite_autoindex_checks_1", 1)+" ", "%+v", q)
	})
}

// eachCount is every count, of four days.
func eachCount(test func(what ca.Occurrence, bounds []time.Time, index string)) {
	for _, count := range []struct {
		what  ca.Occurrence
		after int // days
		index string
	}{{ca.WasIssued, 10, "certificates_created"}, {ca.WillEnd, 100, "signatures_expiry"}, {ca.WasRevoked, 10, "revocations_time"}} {
		var bounds []time.Time
		for day := range 5 {
			bounds = append(bounds, planEpoch.AddDate(0, 0, count.after+day))
		}
		test(count.what, bounds, count.index)
	}
}

func eachEventQuery(test func(q ca.EventQuery, index string)) {
	for _, at := range []time.Time{{}, planEpoch.Add(20 * 24 * time.Hour)} {
		for index, q := range map[string]ca.EventQuery{
			"events_pkey": {}, "events_app": {App: "app-1"}, "events_actor": {Actor: "actor-1"}, "events_object": {Object: "object-1"},
			"events_action": {Action: "certificate.issue"}, "events_outcome": {Outcome: ca.OutcomeRefused},
		} {
			q.Before, q.Limit = at, 50
			test(q, index)
		}
	}
}

func eachCheckQuery(test func(q ca.CheckQuery, index string)) {
	for _, beyond := range []string{"", "chk_15000"} {
		for index, q := range map[string]ca.CheckQuery{
			"checks_pkey": {}, "checks_app": {App: "app-1"}, "checks_url": {URL: "https://h5.example.com/"},
			"checks_app_url": {URL: "https://h5.example.com/", App: "app-5"},
		} {
			q.Beyond, q.Limit = beyond, 50
			test(q, index)
		}
	}
}

// TestPlansPostgres looks at plans over enough rows for PostgreSQL to prefer indexes, with statistics and its usual settings.
func TestPlansPostgres(t *testing.T) {
	url := judge.Postgres(t)
	require.NoError(t, Migrate(t.Context(), url))
	db, err := openPostgres(t.Context(), url)
	require.NoError(t, err)
	defer db.close()
	populate(t, db, 30_000)

	var node func(t *testing.T, plan map[string]any, indexes *[]string)
	node = func(t *testing.T, plan map[string]any, indexes *[]string) {
		kind := plan["Node Type"].(string)
		for _, bad := range []string{"Seq Scan", "Sort", "Hash", "Merge", "Bitmap", "Materialize", "Memoize"} {
			require.NotContains(t, kind, bad)
		}
		if index, ok := plan["Index Name"].(string); ok {
			*indexes = append(*indexes, index)
		}
		children, _ := plan["Plans"].([]any)
		for _, child := range children {
			node(t, child.(map[string]any), indexes)
		}
	}
	explain := func(t *testing.T, statement string, args []any) []string {
		t.Helper()
		var text []byte
		require.NoError(t, db.list(t.Context(), func(r row) error { return r.Scan(&text) }, "EXPLAIN (FORMAT JSON) "+statement, args...))
		var plans []map[string]map[string]any
		require.NoError(t, json.Unmarshal(text, &plans))
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("%s\n%s", statement, text)
			}
		})
		var indexes []string
		node(t, plans[0]["Plan"], &indexes)
		return indexes
	}
	eachPlanned(t, func(t *testing.T, q ca.CertificateQuery, index string) {
		_, statement, args := listStatement(db, q)
		require.Equal(t, strings.Replace(index, "signatures_fingerprint", "signatures_fingerprint_key", 1), explain(t, statement, args)[0])
	})
	eachCount(func(what ca.Occurrence, bounds []time.Time, index string) {
		statement, args, err := countStatement(what, bounds)
		require.NoError(t, err)
		require.Equal(t, slices.Repeat([]string{index}, len(bounds)-1), explain(t, statement, args), what)
	})
	eachEventQuery(func(q ca.EventQuery, index string) {
		statement, args := eventStatement(db, q)
		require.Equal(t, []string{index}, explain(t, statement, args))
	})
	eachDomainQuery(func(q ca.DomainQuery, index string) {
		condition, args := domainStatement(db, q)
		require.Equal(t, []string{index}, explain(t, "SELECT * FROM domains"+condition, args), "%+v", q)
	})
	eachCheckQuery(func(q ca.CheckQuery, index string) {
		condition, args := checkStatement(db, q)
		require.Equal(t, []string{index}, explain(t, "SELECT * FROM checks"+condition, args), "%+v", q)
	})
}

func eachDomainQuery(test func(q ca.DomainQuery, index string)) {
	for _, beyond := range []ca.DomainCursor{{}, {Name: pki.RecordedName("h50.example.com"), App: "app-5"}} {
		for _, suffix := range []string{"", "example.com"} {
			q := ca.DomainQuery{Suffix: suffix, Beyond: beyond, Limit: 50}
			test(q, "domains_pkey")
			q.State = ca.DomainPending
			test(q, "domains_state")
			q.App = "app-1"
			test(q, "domains_app")
			q.State = ""
			test(q, "domains_app")
		}
	}
	test(ca.DomainQuery{Name: pki.RecordedName("h50.example.com"), Limit: 50}, "domains_pkey")
}

// TestCommitPlan: PostgreSQL plans the statement of a group while the tables are still empty, and keeps that plan while they grow.
func TestCommitPlan(t *testing.T) {
	url := judge.Postgres(t)
	require.NoError(t, Migrate(t.Context(), url))
	db, err := openPostgres(t.Context(), url)
	require.NoError(t, err)
	defer db.close()
	tx, err := db.pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = tx.Rollback(context.Background()) }()
	statement := db.commitText(pgCompletes<<1 - 1) // all that there is at once
	for _, statement := range []string{`SET LOCAL plan_cache_mode = force_generic_plan`, `SET LOCAL enable_seqscan = on`, `PREPARE it AS ` + statement} {
		_, err = tx.Exec(t.Context(), statement)
		require.NoError(t, err)
	}
	parameters := strings.TrimSuffix(strings.Repeat("NULL, ", strings.Count(statement, "$")), ", ")
	var plan []string
	require.NoError(t, pgStatements{tx}.query(t.Context(), func(r row) error {
		var line string
		err := r.Scan(&line)
		plan = append(plan, line)
		return err
	}, `EXPLAIN EXECUTE it (`+parameters+`)`))
	text := strings.Join(plan, "\n")
	require.NotContains(t, text, "Seq Scan", text)
	require.Contains(t, text, "Index Scan using certificates_pkey", text)
	require.Contains(t, text, "using pending_pkey", text)
	require.Contains(t, text, "using acme_orders_pkey", text)
}

// TestConnectionsAreAsManyAsTheURLSays: the connections are shared out among those who commit, those who list, and the rest.
func TestConnectionsAreAsManyAsTheURLSays(t *testing.T) {
	url := judge.Postgres(t)
	require.NoError(t, Migrate(t.Context(), url))
	for asked, want := range map[int]int32{1: 4, 4: 4, 5: 5, 16: 16, 40: 40} {
		db, err := openPostgres(t.Context(), fmt.Sprintf("%s&pool_max_conns=%d", url, asked))
		require.NoError(t, err)
		require.Equal(t, want, db.commits.Config().MaxConns+db.lists.Config().MaxConns+db.pool.Config().MaxConns, "%d", asked)
		db.close()
	}
}

// TestShortStatementsReadNoWholeTable: what is asked at every request is planned once, while the tables are empty, and still uses their indices.
func TestShortStatementsReadNoWholeTable(t *testing.T) {
	url := judge.Postgres(t)
	require.NoError(t, Migrate(t.Context(), url))
	db, err := openPostgres(t.Context(), url)
	require.NoError(t, err)
	defer db.close()
	_, err = db.exec(t.Context(), `SELECT pg_stat_reset()`) // migrations read whole tables
	require.NoError(t, err)
	s, err := Open(t.Context(), Config{URL: url})
	require.NoError(t, err)
	ctx, name := t.Context(), pki.RecordedName("www.example.com")
	for what, err := range map[string]error{
		"token":         second(s.TokenByHash(ctx, [32]byte{1})),
		"app":           second(s.App(ctx, "shop")),
		"key":           second(s.KeyBlocked(ctx, [32]byte{1})),
		"claims":        second(s.Domains(ctx, []pki.Name{name})),
		"account":       second(s.Account(ctx, "a")),
		"thumbprint":    second(s.AccountByKey(ctx, [32]byte{1})),
		"authorization": second(s.Authorization(ctx, "a")),
		"certificate":   second(s.Certificate(ctx, pki.Serial{1})),
		"standing":      second(s.Standing(ctx, pki.Serial{1})),
		"session":       second(s.SessionByHash(ctx, [32]byte{1})),
		"replacing":     second(s.Replacing(ctx, pki.Serial{1})),
	} {
		if err != nil {
			require.ErrorIs(t, err, ca.ErrNotFound, what)
		}
	}
	_, _, err = s.Order(ctx, "o")
	require.ErrorIs(t, err, ca.ErrNotFound)
	require.NoError(t, s.Close()) // its connections tell what they have read when they end

	var read int
	require.Eventually(t, func() bool { // the statistics come a moment later
		return one(ctx, db, `SELECT count(*) FROM pg_stat_user_tables WHERE idx_scan > 0 AND relname IN ('tokens', 'apps', 'acme_accounts', 'acme_orders')`,
			nil, &read) == nil && read == 4
	}, 10*time.Second, 20*time.Millisecond)
	require.NoError(t, db.query(ctx, func(r row) error {
		var table string
		err := r.Scan(&table)
		require.Fail(t, "read as a whole", table)
		return err
	}, `SELECT relname FROM pg_stat_user_tables WHERE seq_scan > 0 AND relname IN ('tokens', 'apps', 'blocked_keys', 'domains', 'acme_accounts', 'acme_orders',
		'acme_authorizations', 'certificates', 'signatures', 'revocations', 'sessions')`))
}

func second[T any](_ T, err error) error { return err }

// populate stores certificates of ten apps as a service has them: most signed, some revoked, a few thousand pending.
func populate(t *testing.T, db *postgres, n int) {
	t.Helper()
	ctx := t.Context()
	writes := make([]*write, 0, 1000)
	flush := func() {
		require.NoError(t, db.commit(ctx, writes))
		writes = writes[:0]
	}
	serial := func(i int) []byte {
		digest := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(i)))
		return append([]byte{1}, digest[:16]...)
	}
	for i := range n {
		at, app := planEpoch.Add(time.Duration(i)*2*time.Minute), fmt.Sprintf("app-%d", i%10)
		key := sha256.Sum256(fmt.Append(nil, i))
		name := fmt.Sprintf("com.example%d.h%d.www.", i%10, i)
		w := new(write)
		w.rows[inCertificates] = [][]any{{serial(i), []string{"Old", "New"}[i%2], []string{"server", "edge"}[i%2], "serverAuth", app, "ci", "n", "ecdsa-p256",
			key[:], at, at.Add(90 * 24 * time.Hour), at, nil, bytes.Repeat([]byte{1}, 480)}}
		w.rows[inNames] = [][]any{{name, at, serial(i), app, ""}}
		w.rows[inPending] = [][]any{{at, serial(i)}}
		id := ca.FirstEventID(at)
		w.rows[inEvents] = [][]any{{id[:], at, fmt.Sprintf("action-%d", i%7), []string{"done", "refused"}[i%2], fmt.Sprintf("actor-%d", i%10), "developer", "tok", "192.0.2.1", "r",
			app, fmt.Sprintf("object-%d", i/3), "{}"}}
		if writes = append(writes, w); len(writes) == cap(writes) {
			flush()
		}
	}
	for i := range n {
		if i%8 == 0 {
			continue
		}
		w := &write{signs: &signing{serial: pki.Serial(serial(i)), signature: make([]byte, 71), fingerprint: sha256.Sum256(serial(i)), at: planEpoch}}
		if writes = append(writes, w); len(writes) == cap(writes) || i == n-1 {
			flush()
		}
	}
	for _, statement := range []string{
		`INSERT INTO revocations SELECT serial, authority, app, created_at, 1, 'olga', not_after FROM certificates WHERE substr(serial, 2, 1) < '\x40'
			AND serial IN (SELECT serial FROM signatures)`,
		`UPDATE signatures SET live = FALSE WHERE serial IN (SELECT serial FROM revocations)`,
		`INSERT INTO apps SELECT 'app-' || i, 'n', 'open', '', FALSE, now(), 1 FROM generate_series(0, 9) i`,
		`INSERT INTO domains SELECT 'com.example.h' || i || '.', 'app-' || i % 10, 'h' || i || '.example.com', CASE i % 2 WHEN 0 THEN 'pending' ELSE 'valid' END,
			i % 2 = 1, NULL, FALSE, '', '', NULL, '', FALSE, NULL, NULL, NULL, NULL, '', NULL, '', NULL, '', '', now(), '', 1 FROM generate_series(1, 20000) i`,
		`INSERT INTO checks SELECT 'chk_' || lpad(i::text, 5, '0'), 'app-' || i % 10, 'https://h' || i % 10 || '.example.com/', '', FALSE, 'asked', 'ci', now(), 'done',
			NULL, 1, now(), '', '{}', '', '[]', NULL FROM generate_series(1, 20000) i`,
		`VACUUM ANALYZE`,
	} {
		_, err := db.exec(ctx, statement)
		require.NoError(t, err)
	}
}
