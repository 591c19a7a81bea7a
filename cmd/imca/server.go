package main

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/imca-project/imca/internal/acme"
	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/config"
	"github.com/imca-project/imca/internal/console"
	"github.com/imca-project/imca/internal/egress"
	"github.com/imca-project/imca/internal/issuer"
	"github.com/imca-project/imca/internal/pki"
	"github.com/imca-project/imca/internal/store"
	"github.com/imca-project/imca/internal/web"
)

// ServerConfig is what a Server is made of. Database, OpenKey, and either OwnNames or the files of a certificate are required; the zero
// value of the rest works.
type ServerConfig struct {
	Database string // as store.Config takes it

	// HTTPS, HTTP and Ops are where to listen, HOST:PORT; empty for no such listener. Port 0 is a free one: see Server.Address.
	HTTPS, HTTP, Ops string

	BaseURL  string                                  // what certificates say about where CRL and CA certificates are
	OpenKey  func(ref string) (crypto.Signer, error) // opens the key of an authority
	Profiles []issuer.Profile                        // nil means issuer.DefaultProfiles
	Names    ca.NamePolicy
	Proof    ProofConfig
	Doors    egress.Config   // the way to the endpoints that are checked; its ports follow from each
	OIDC     config.OIDC     // of operators; zero: none
	Machines config.Machines // of operators; zero: none
	CRLs     ca.CRLSchedule

	OwnNames                 []pki.Name // of the HTTPS certificate that the server issues itself
	CertificateFile, KeyFile string     // or of one from elsewhere

	ACME       ACMEConfig
	ClientName pki.Name // the subject of the platform's client certificate; zero: it shows none
	Limits     web.Limits
	Proxies    []netip.Prefix
	Settings   []console.Setting // what the console shows of the configuration
	Grace      time.Duration     // how long requests may take when the server ends; zero means 30 s

	Now func() time.Time // nil means time.Now
	Log *slog.Logger     // nil means slog.Default
}

// Server is the whole service: store, authority, doors and listeners. New, Start, then Close; nothing of it outlives Close.
type Server struct {
	cfg   ServerConfig
	store *store.Store
	ca    *ca.CA
	tls   keptCertificate
	frame *web.Frame

	provider console.Provider // where people sign in; nil: nowhere else
	machines *x509.CertPool   // who certifies operators' machines; nil: nobody

	metrics   *web.Metrics
	listening map[string]*listening // by "https", "http", "ops"
	failed    chan error

	nonceKey []byte

	life       context.Context // ends with the server
	stop       context.CancelFunc
	background sync.WaitGroup
}

// keptCertificate is the server's own certificate, and what keeps it fresh.
type keptCertificate interface {
	certificate() *tls.Certificate
	upkeep(ctx context.Context)
}

type listening struct {
	net.Listener
	server *http.Server
}

// NewServer brings the database up to date, opens it and loads its CA.
func NewServer(ctx context.Context, cfg ServerConfig) (*Server, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.Grace == 0 {
		cfg.Grace = 30 * time.Second
	}
	if cfg.Profiles == nil {
		cfg.Profiles = issuer.DefaultProfiles()
	}
	s := &Server{cfg: cfg, metrics: web.NewMetrics(cfg.Now), listening: make(map[string]*listening), failed: make(chan error, 3)}
	s.life, s.stop = context.WithCancel(context.Background())
	var err error
	if s.store, err = openStore(ctx, cfg.Database); err != nil {
		return nil, err
	}
	if err := s.load(ctx); err != nil {
		return nil, errors.Join(err, s.store.Close())
	}
	return s, nil
}

// openStore opens a database, its schema brought up to date.
func openStore(ctx context.Context, url string) (*store.Store, error) {
	if err := store.Migrate(ctx, url); err != nil {
		return nil, err
	}
	return store.Open(ctx, store.Config{URL: url})
}

func (s *Server) load(ctx context.Context) error {
	authorities, err := s.store.ListAuthorities(ctx)
	if err != nil {
		return fmt.Errorf("reading the authorities: %w", err)
	}
	if len(authorities) == 0 {
		return errors.New("this database has no CA yet: make it with 'imca init', once")
	}
	issuers, err := s.openAuthorities(authorities)
	if err != nil {
		return err
	}
	platform := &platformCertificate{name: s.cfg.ClientName, now: s.cfg.Now, log: s.cfg.Log}
	if s.cfg.Proof.ClientCertificate == nil {
		s.cfg.Proof.ClientCertificate = platform.certificate
	}
	rules, err := s.cfg.Proof.rules(s.metrics.Proof, s.cfg.Now)
	if err != nil {
		return err
	}
	identify, err := s.identifier()
	if err != nil {
		return err
	}
	machines, err := newMachines(s.cfg.Machines, issuers)
	if err != nil {
		return err
	}
	s.machines = machines.pool
	s.ca, err = ca.New(ca.Config{
		Store: s.store, Issuers: issuers, Open: s.openAuthorities, Recorded: authorities, Names: s.cfg.Names, Domains: rules, Identify: identify, Recognize: machines.recognizer(), CRLs: s.cfg.CRLs,
		Checks:   ca.CheckRules{Look: lookout{s.cfg.Doors, s.issuers, s.cfg.BaseURL, s.cfg.Now}.look, ClientName: s.cfg.ClientName, Observe: s.metrics.Check},
		Webhooks: ca.WebhookRules{Post: postman{s.cfg.Doors, s.issuers}.post, Observe: s.metrics.Message},
		Observe:  s.metrics.Issuance, Now: s.cfg.Now, Log: s.cfg.Log,
	})
	if err != nil {
		return err
	}
	platform.authority = s.ca
	s.frame = web.New(web.Config{
		Authenticate: s.ca.Authenticate, Machine: s.ca.AuthenticateMachine, TrustedProxies: s.cfg.Proxies, Limits: s.cfg.Limits, Metrics: s.metrics, Now: s.cfg.Now, Log: s.cfg.Log,
	})
	if s.cfg.CertificateFile != "" {
		s.tls, err = newFileCertificate(s.cfg.CertificateFile, s.cfg.KeyFile, s.cfg.Log)
	} else {
		s.tls, err = newOwnCertificate(ctx, ca.Config{
			Store: s.store, Issuers: issuers, Open: s.openAuthorities, Recorded: authorities, Now: s.cfg.Now, Log: s.cfg.Log,
		}, s.cfg.OwnNames)
	}
	if err != nil {
		return err
	}
	if s.nonceKey, err = acme.NonceKey(ctx, s.store); err != nil {
		return err
	}
	s.metrics.Watch(s.ca)
	s.metrics.WatchCertificate("https", func() time.Time { return s.tls.certificate().Leaf.NotAfter })
	return nil
}

// issuers are the authorities as they are now.
func (s *Server) issuers() []*issuer.Issuer { return s.ca.Issuers() }

// openAuthorities builds the issuers of recorded authorities. One that issues nothing is taken without its key, if that is not here: the others can work.
func (s *Server) openAuthorities(recorded []ca.Authority) ([]*issuer.Issuer, error) {
	return ca.Load(recorded, s.cfg.Profiles, s.cfg.BaseURL, func(ref string) (crypto.Signer, error) {
		key, err := s.cfg.OpenKey(ref)
		i := slices.IndexFunc(recorded, func(a ca.Authority) bool { return a.KeyRef == ref })
		if a := recorded[i]; err != nil && len(a.Profiles) == 0 && (len(a.StandsBy) > 0 || !a.RetiredAt.IsZero()) {
			s.cfg.Log.Error("the key of an authority that issues nothing is not here: bring its file, and restart this server before it is promoted", "authority", a.Name, "error", err)
			return nil, nil
		}
		return key, err
	})
}

// Start listens and serves, until Close. What ends a listener before that is told by Failed.
func (s *Server) Start() error {
	s.firstLists()
	for _, l := range []struct {
		name, address string
		handler       http.Handler
	}{
		{"https", s.cfg.HTTPS, s.private()},
		{"http", s.cfg.HTTP, s.public()},
		{"ops", s.cfg.Ops, s.ops()},
	} {
		if l.address == "" {
			continue
		}
		if err := s.listen(l.name, l.address, l.handler); err != nil {
			return errors.Join(err, s.Close())
		}
	}
	s.background.Go(func() { s.upkeep(s.life) })
	s.background.Go(func() { s.recheck(s.life) })
	s.background.Go(func() { s.ca.KeepAuthorities(s.life) })
	s.background.Go(func() { s.ca.KeepRevocation(s.life) })
	s.background.Go(func() { s.watch(s.life) })
	s.background.Go(func() { s.ca.KeepChecks(s.life) })
	s.background.Go(func() { s.ca.KeepWebhooks(s.life) })
	return nil
}

// firstListsTime bounds the wait for them: a server that has none yet serves everything else.
const firstListsTime = 10 * time.Second

// firstLists sees to it that there is a revocation list of each authority before anybody can ask for one.
func (s *Server) firstLists() {
	ctx, cancel := context.WithTimeout(context.Background(), firstListsTime)
	defer cancel()
	if err := s.ca.PublishCRLs(ctx); err != nil {
		s.cfg.Log.Error("publishing the first revocation lists; it is tried again for ever", "error", err)
	}
}

func (s *Server) listen(name, address string, handler http.Handler) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("listening on %s (%s): %w: end what uses it, or choose another port", address, name, err)
	}
	server := s.frame.Server(handler)
	serve := func() error { return server.Serve(l) }
	if name == "https" {
		server.TLSConfig = &tls.Config{
			MinVersion:     tls.VersionTLS12,
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.tls.certificate(), nil },
		}
		if s.machines != nil {
			// Asked for and not demanded: whoever has a token, or wants what is public, has no certificate. It is judged where a token would be.
			server.TLSConfig.ClientAuth, server.TLSConfig.ClientCAs = tls.RequestClientCert, s.machines
		}
		serve = func() error { return server.ServeTLS(l, "", "") }
	}
	s.listening[name] = &listening{Listener: l, server: server}
	s.background.Go(func() {
		if err := serve(); !errors.Is(err, http.ErrServerClosed) {
			s.failed <- fmt.Errorf("serving on %s: %w", address, err)
		}
	})
	s.cfg.Log.Info("listening", "listener", name, "address", l.Addr().String())
	return nil
}

// Address is where a listener can be reached, HOST:PORT; empty where there is none.
func (s *Server) Address(listener string) string {
	l, listens := s.listening[listener]
	if !listens {
		return ""
	}
	return l.Addr().String()
}

// Failed tells what ended a listener.
func (s *Server) Failed() <-chan error { return s.failed }

// Close ends the server and loses nothing: no new request is taken, those under way are finished, what they have changed is committed.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.Grace)
	defer cancel()
	var (
		ending sync.WaitGroup
		mu     sync.Mutex
		faults []error
	)
	for name, l := range s.listening {
		ending.Go(func() {
			err := l.server.Shutdown(ctx)
			if err != nil {
				err = errors.Join(fmt.Errorf("ending %s: requests were still under way after %v: %w", name, s.cfg.Grace, err), l.server.Close())
			}
			mu.Lock()
			defer mu.Unlock()
			faults = append(faults, err)
		})
	}
	ending.Wait()
	s.stop()
	s.background.Wait()
	return errors.Join(append(faults, s.store.Close())...)
}

// recheck looks at the proofs of names whose time has come.
func (s *Server) recheck(ctx context.Context) {
	const every = time.Minute
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := s.ca.RecheckDomains(ctx); err != nil && ctx.Err() == nil {
			s.cfg.Log.Error("looking at proofs again; it is tried again in a minute", "error", err)
		}
	}
}

// upkeep is what is done beside the requests.
func (s *Server) upkeep(ctx context.Context) {
	const every = time.Minute
	tick := time.NewTicker(every)
	defer tick.Stop()
	for forgotten := (time.Time{}); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		s.tls.upkeep(ctx)
		if now := s.cfg.Now(); now.Sub(forgotten) >= time.Hour {
			forgotten = now
			if err := s.sweep(ctx); err != nil && ctx.Err() == nil {
				s.cfg.Log.Error("sweeping; it is tried again in an hour", "error", err)
			}
		}
	}
}
