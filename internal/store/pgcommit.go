package store

import (
	"context"
	"fmt"
	"strings"
)

// commitment is what a statement of commit does, a bit for each: it inserts into a table of groupTables, by its place there, or what follows. Each has
// a statement of its own, because PostgreSQL opens all tables and indices that a statement writes to, whether there is anything to write or not.
type commitment uint

const (
	pgSigns commitment = 1 << (len(groupTables) + iota)
	pgSpends
	pgCompletes
)

// pgCommit is a commit on its way: what it does, and the arguments of its statement, each of which is a column.
type pgCommit struct {
	does commitment
	args []any
}

// add adds columns to what is committed, if there are any rows of them.
func (c *pgCommit) add(does commitment, columns int, rows [][]any) {
	if len(rows) == 0 {
		return
	}
	c.does |= does
	c.args = append(c.args, columnsOf(columns, rows)...)
}

// commit is one statement, which PostgreSQL makes a transaction of its own: one message there, and one back.
func (p *postgres) commit(ctx context.Context, writes []*write) error {
	var (
		c                        pgCommit
		signs                    []*signing
		spends                   = make(map[[16]byte]*spending)
		signed, spent, completed [][]any
	)
	for i, t := range groupTables {
		var rows [][]any
		for _, w := range writes {
			rows = append(rows, w.rows[i]...)
		}
		c.add(1<<i, len(t.columns), rows)
	}
	for _, w := range writes {
		switch {
		case w.signs != nil:
			w.signs.done = false
			signs = append(signs, w.signs)
			signed = append(signed, []any{w.signs.serial[:], w.signs.signature, w.signs.fingerprint[:], w.signs.at})
		case w.spends != nil:
			w.spends.done = false
			if _, twice := spends[w.spends.nonce]; !twice {
				spends[w.spends.nonce] = w.spends
				spent = append(spent, []any{w.spends.nonce[:], w.spends.until})
			}
		case w.completes != nil:
			completed = append(completed, []any{w.completes.order, w.completes.serial})
		}
	}
	c.add(pgSigns, 4, signed)
	c.add(pgSpends, 2, spent)
	c.add(pgCompletes, 2, completed)
	return pgStatements{p.commits}.query(ctx, func(r row) error {
		var (
			place int
			nonce [16]byte
		)
		if err := r.Scan(&place, octets(nonce[:])); err != nil {
			return err
		}
		if place > 0 {
			signs[place-1].done = true
		} else {
			spends[nonce].done = true
		}
		return nil
	}, p.commitText(c.does), c.args...)
}

// commitText is the statement that does what is asked of it. It answers which certificates were pending, by their place in the arrays, and, with place 0,
// which nonces were not spent.
func (p *postgres) commitText(does commitment) string {
	if text, found := p.texts.Load(does); found {
		return text.(string)
	}
	text, _ := p.texts.LoadOrStore(does, does.text())
	return text.(string)
}

// text is planned while the tables are empty, when to read a whole table looks cheapest, and keeps that plan while they grow; so LATERAL, LIMIT and the
// row's ctid leave the planner nothing but one look-up in the index for each.
func (does commitment) text() string {
	var (
		parts    []string
		answers  = []string{"SELECT 0, NULL::bytea WHERE FALSE"}
		argument = 0
	)
	next := func(kind string) string {
		argument++
		return fmt.Sprintf("$%d::%s[]", argument, kind)
	}
	for i, t := range groupTables {
		if does&(1<<i) != 0 {
			parts = append(parts, fmt.Sprintf("into_%s AS (%s)", t.name, t.insertArrays(argument+1)))
			argument += len(t.columns)
		}
	}
	if does&pgSigns != 0 {
		parts = append(parts, fmt.Sprintf(`given AS (
	SELECT * FROM unnest(%s, %s, %s, %s) WITH ORDINALITY AS g (serial, signature, fingerprint, signed_at, n)
), gone AS (
	DELETE FROM pending p USING given g
		CROSS JOIN LATERAL (SELECT created_at, app, not_after FROM certificates WHERE serial = g.serial LIMIT 1) c
		CROSS JOIN LATERAL (SELECT ctid FROM pending WHERE created_at = c.created_at AND serial = g.serial LIMIT 1) its
	WHERE p.ctid = its.ctid
	RETURNING g.*, c.app, c.not_after
), into_signatures AS (
	INSERT INTO signatures (serial, signature, fingerprint, signed_at, app, not_after, live)
	SELECT serial, signature, fingerprint, signed_at, app, not_after, TRUE FROM gone
)`, next("bytea"), next("bytea"), next("bytea"), next("timestamptz")))
		answers = append(answers, "SELECT n, NULL FROM gone")
	}
	if does&pgSpends != 0 {
		parts = append(parts, fmt.Sprintf(`spent AS (
	INSERT INTO acme_nonces (nonce, until) SELECT * FROM unnest(%s, %s) ON CONFLICT (nonce) DO NOTHING RETURNING nonce
)`, next("bytea"), next("timestamptz")))
		answers = append(answers, "SELECT 0, nonce FROM spent")
	}
	if does&pgCompletes != 0 {
		parts = append(parts, fmt.Sprintf(`completed AS (
	UPDATE acme_orders o SET serial = g.serial FROM unnest(%s, %s) AS g (id, serial)
		CROSS JOIN LATERAL (SELECT ctid FROM acme_orders WHERE id = g.id AND acme_orders.serial IS NULL LIMIT 1) its
	WHERE o.ctid = its.ctid
)`, next("text"), next("bytea")))
	}
	return "WITH " + strings.Join(parts, ",\n") + "\n" + strings.Join(answers, " UNION ALL ")
}
