package main

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/config"
	"github.com/imca-project/imca/internal/issuer"
	"github.com/imca-project/imca/internal/keys"
	"github.com/imca-project/imca/internal/pki"
	"github.com/imca-project/imca/internal/store"
)

// local names a database on which a command works itself, without a server: that of a configuration, or that of a data folder of 'imca dev'.
type local struct {
	config, data string
	cmd          *cobra.Command
}

// localFlags adds --config and --data to a command.
func localFlags(cmd *cobra.Command) *local {
	l := &local{cmd: cmd}
	cmd.Flags().StringVar(&l.config, "config", "", "the configuration file of the server")
	cmd.Flags().StringVar(&l.data, "data", "", "the data folder of 'imca dev' (default: ./"+defaultData+", if it is there)")
	cmd.MarkFlagsMutuallyExclusive("config", "data")
	return l
}

// given tells whether one of the flags is set.
func (l *local) given() bool { return l.config != "" || l.data != "" }

// opened is a database that was opened, and how its keys are.
type opened struct {
	store      *store.Store
	keys       *keyStore
	profiles   []issuer.Profile
	baseURL    string
	public     string // where the server listens for plain HTTP, HOST:PORT or "off"
	withoutKey error  // why keys cannot be opened; nil when they can

	organization string      // of the subjects of authorities
	keyType      pki.KeyType // of their keys
	crls         ca.CRLSchedule
	flag         string // names the database to a further command, with a space before it; empty where it is found by itself
}

// open opens the database. Its schema must be up to date: a command does not change the database of a running server.
func (l *local) open(ctx context.Context) (*opened, error) {
	data := l.data
	if !l.given() && exists(dataFolder(defaultData).path(stateFile)) {
		data = defaultData
	}
	switch {
	case l.config != "":
		s, err := loadSettings(l.config)
		if err != nil {
			return nil, err
		}
		url, err := s.databaseURL()
		if err != nil {
			return nil, err
		}
		o := &opened{keys: &keyStore{folder: s.CA.Keys}, profiles: s.profiles, baseURL: s.PublicURL, public: s.Listen.HTTP,
			organization: s.CA.Organization, keyType: s.keyType, crls: s.crls, flag: " --config " + quoted(l.config)}
		o.keys.passphrase, o.withoutKey = keys.Passphrase(s.CA.Passphrase)
		o.store, err = store.Open(ctx, store.Config{URL: url})
		return o, err
	case data != "":
		d := dataFolder(data)
		state, err := d.state()
		if err != nil {
			return nil, err
		}
		o := &opened{keys: &keyStore{folder: d.path("keys")}, profiles: issuer.DefaultProfiles(), baseURL: state.BaseURL, public: strings.TrimPrefix(state.BaseURL, "http://")}
		if l.data != "" {
			o.flag = " --data " + quoted(l.data)
		}
		o.keys.passphrase, o.withoutKey = keys.Passphrase("file:" + d.path(passphraseFile))
		o.store, err = store.Open(ctx, store.Config{URL: state.Database})
		return o, err
	}
	return nil, usageError{fmt.Errorf("'%s' works on the database itself: say which, with --config imca.yaml or --data %s", l.cmd.CommandPath(), defaultData)}
}

// authority is the CA of the database. A key that cannot be opened is reported, and its authority rests.
func (o *opened) authority(ctx context.Context) (*ca.CA, []ca.Finding, error) {
	authorities, err := o.store.ListAuthorities(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the authorities: %w", err)
	}
	var findings []ca.Finding
	open := func(ref string) (crypto.Signer, error) {
		err := o.withoutKey
		if err == nil {
			var key crypto.Signer
			if key, err = o.keys.open(ref); err == nil {
				return key, nil
			}
		}
		findings = append(findings, ca.Finding{Severity: ca.SeverityFault, Subject: ref, Detail: err.Error()})
		return nil, nil
	}
	load := func(recorded []ca.Authority) ([]*issuer.Issuer, error) {
		return ca.Load(recorded, o.profiles, o.baseURL, open)
	}
	issuers, err := load(authorities)
	if err != nil {
		return nil, nil, err
	}
	authority, err := ca.New(ca.Config{Store: o.store, Issuers: issuers, Open: load, Recorded: authorities, CRLs: o.crls, Now: time.Now})
	return authority, findings, err
}

func newMigrate(p *program) *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use: "migrate --config FILE", Short: "Bring the schema of the database up to date", Args: noArgs,
		Long: "Bring the schema of the database up to date. 'imca serve' does the same when it starts; this is for those who want to do it before.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := loadSettings(path)
			if err != nil {
				return err
			}
			url, err := s.databaseURL()
			if err != nil {
				return err
			}
			if err := store.Migrate(cmd.Context(), url); err != nil {
				return err
			}
			if p.json {
				return p.encode(map[string]string{"schema": "up to date"})
			}
			p.say("The schema of the database is up to date.")
			return nil
		},
	}
	configFlag(cmd, &path)
	return cmd
}

// configFlag adds the --config of commands that cannot do without.
func configFlag(cmd *cobra.Command, path *string) {
	cmd.Flags().StringVar(path, "config", "imca.yaml", "the configuration file")
}

// joinFaults puts the faults of a configuration and those of its surroundings into one answer.
func joinFaults(s *settings, err error, more config.Faults) error {
	var faults config.Faults
	if err != nil && !errors.As(err, &faults) {
		return err
	}
	return s.faulty(append(faults, more...))
}
