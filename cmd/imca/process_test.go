package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/issuer"
	"github.com/imca-project/imca/internal/judge"
	"github.com/imca-project/imca/internal/store"
)

// databases runs a test on both.
func databases(t *testing.T, test func(t *testing.T, url string)) {
	t.Run("sqlite", func(t *testing.T) { test(t, "sqlite:"+filepath.Join(t.TempDir(), "imca.db")) })
	t.Run("postgres", func(t *testing.T) { test(t, judge.Postgres(t)) })
}

// dev is an 'imca dev' that runs as a process.
type dev struct {
	*judge.Process
	url    string
	folder dataFolder
	client *http.Client
}

// startDev starts imca on a folder and a database, and waits until it is ready.
func startDev(t testing.TB, folder, database string, flags ...string) *dev {
	t.Helper()
	https, plain := judge.FreeAddr(t), judge.FreeAddr(t)
	args := append([]string{"dev", "--data", folder, "--database", database, "--https", https, "--http", plain, "--log-level", "warn"}, flags...)
	d := &dev{url: "https://" + https, folder: dataFolder(folder)}
	d.Process = judge.Start(t, "imca dev", exec.Command(judge.Path(t, "imca"), args...), func() error {
		response, err := http.Get("http://" + plain + "/readyz")
		if err != nil {
			return err
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return errors.New(response.Status)
		}
		return nil
	})
	state, err := d.folder.state()
	require.NoError(t, err)
	d.client = trusting(t, d.folder.path(state.CA))
	return d
}

// trusting is an HTTP client that knows a server by a CA file, and keeps its connections.
func trusting(t testing.TB, file string) *http.Client {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(text))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, MaxIdleConnsPerHost: 64}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 30 * time.Second}
}

// ask sends a request with a token of the folder, and decodes the answer if it has the wanted status.
func (d *dev) ask(token, method, path, body string, status int, answer any) error {
	secret, err := os.ReadFile(d.folder.path(token))
	if err != nil {
		return err
	}
	request, err := http.NewRequest(method, d.url+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(secret)))
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := d.client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != status {
		return fmt.Errorf("%s %s: %s: %s", method, path, response.Status, text)
	}
	return json.NewDecoder(bytes.NewReader(text)).Decode(answer)
}

// given is a certificate as a client got it.
type given struct {
	Serial, Status, Certificate string
}

// fleet is a number of clients that issue certificates, each one after the other.
type fleet struct {
	stop    chan struct{}
	running sync.WaitGroup
	count   atomic.Int64

	mu       sync.Mutex
	answered []given
	faults   []error
}

// load starts clients. Each ends at its first error, or when the fleet is stopped.
func (d *dev) load(clients int) *fleet {
	f := &fleet{stop: make(chan struct{})}
	for n := range clients {
		f.running.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-f.stop:
					return
				default:
				}
				var g given
				err := d.ask(demoToken, "POST", "/v1/certificates", fmt.Sprintf(`{"domain":"c%d-%d.example.com"}`, n, i), http.StatusCreated, &g)
				f.mu.Lock()
				if err != nil {
					f.faults = append(f.faults, err)
					f.mu.Unlock()
					return
				}
				f.answered = append(f.answered, g)
				f.mu.Unlock()
				f.count.Add(1)
			}
		})
	}
	return f
}

// reach waits until so many certificates were answered.
func (f *fleet) reach(t *testing.T, certificates int64) {
	t.Helper()
	require.Eventually(t, func() bool { return f.count.Load() >= certificates }, 30*time.Second, time.Millisecond, "the clients get no certificates")
}

// requireKept asserts that every answered certificate is there, as it was answered.
func (d *dev) requireKept(t *testing.T, answered []given) {
	t.Helper()
	for _, g := range answered {
		var have given
		require.NoError(t, d.ask(operatorToken, "GET", "/v1/certificates/"+g.Serial, "", http.StatusOK, &have))
		require.Equal(t, g, have)
	}
}

// inState lists the serials of the certificates in a state.
func (d *dev) inState(t testing.TB, state ca.Status) []string {
	t.Helper()
	serials := []string{}
	for cursor := ""; ; {
		var page struct {
			Items []given
			Next  string
		}
		require.NoError(t, d.ask(operatorToken, "GET", "/v1/certificates?limit=1000&status="+string(state)+cursor, "", http.StatusOK, &page))
		for _, g := range page.Items {
			serials = append(serials, g.Serial)
		}
		if page.Next == "" {
			return serials
		}
		cursor = "&cursor=" + page.Next
	}
}

// examine is what 'imca doctor' will find when a minute has passed.
func examine(t *testing.T, folder dataFolder, database string) (subjects []string) {
	t.Helper()
	records, err := store.Open(t.Context(), store.Config{URL: database})
	require.NoError(t, err)
	defer func() { require.NoError(t, records.Close()) }()
	authorities, err := records.ListAuthorities(t.Context())
	require.NoError(t, err)
	passphrase, err := folder.passphrase()
	require.NoError(t, err)
	k := &keyStore{folder: folder.path("keys"), passphrase: passphrase}
	issuers, err := ca.Load(authorities, issuer.DefaultProfiles(), "", k.open)
	require.NoError(t, err)
	authority, err := ca.New(ca.Config{Store: records, Issuers: issuers, Now: func() time.Time { return time.Now().Add(2 * time.Minute) }})
	require.NoError(t, err)
	findings, err := authority.Examine(t.Context(), localAdmin(), nil)
	require.NoError(t, err)
	subjects = []string{}
	for _, f := range findings {
		require.Equal(t, ca.SeverityFault, f.Severity, f.Detail)
		require.Contains(t, f.Detail, "Pending since", "every record is complete or pending")
		subjects = append(subjects, f.Subject)
	}
	return subjects
}

// TestKillUnderLoad ends the server as a loss of power would, in the middle of its work, several times.
func TestKillUnderLoad(t *testing.T) {
	databases(t, func(t *testing.T, database string) {
		folder := filepath.Join(t.TempDir(), "data")
		var answered []given
		for range 3 {
			d := startDev(t, folder, database)
			f := d.load(16)
			f.reach(t, 100)
			_ = d.Kill()
			f.running.Wait()
			require.Len(t, f.faults, 16, "every client sees the end")
			answered = append(answered, f.answered...)
		}
		d := startDev(t, folder, database)
		d.requireKept(t, answered)
		pending := d.inState(t, ca.StatusPending)
		t.Logf("%d certificates answered, %d pending", len(answered), len(pending))
		require.ElementsMatch(t, pending, examine(t, d.folder, database), "doctor lists the pending ones, and finds nothing else")

		// A pending certificate can be revoked, and is found no more then.
		for _, serial := range pending {
			var g given
			require.NoError(t, d.ask(operatorToken, "POST", "/v1/certificates/"+serial+"/revoke", `{"reason":"superseded"}`, http.StatusOK, &g))
			require.Equal(t, "revoked", g.Status)
		}
		require.Empty(t, d.inState(t, ca.StatusPending))
		require.Empty(t, examine(t, d.folder, database))
	})
}

// TestEndUnderLoad ends the server in good order in the middle of its work: nothing is left half done, and no client gets a fault.
func TestEndUnderLoad(t *testing.T) {
	databases(t, func(t *testing.T, database string) {
		folder := filepath.Join(t.TempDir(), "data")
		d := startDev(t, folder, database)
		f := d.load(16)
		f.reach(t, 200)
		require.NoError(t, d.Stop(), "status 0")
		f.running.Wait()
		for _, err := range f.faults {
			var unsent *url.Error
			require.ErrorAs(t, err, &unsent, "the only fault is that nobody is there any more")
		}
		d = startDev(t, folder, database)
		d.requireKept(t, f.answered)
		require.Empty(t, d.inState(t, ca.StatusPending))
		require.Empty(t, examine(t, d.folder, database))

		// Every record belongs to an answer: nothing was issued of which the client was not told.
		var page struct{ Items []given }
		require.NoError(t, d.ask(operatorToken, "GET", "/v1/certificates?app=demo&limit=1000", "", http.StatusOK, &page))
		require.Len(t, page.Items, len(f.answered))
	})
}

// TestRestartKeepsEverything: CA, tokens, the platform's certificate, whatever the hierarchy.
func TestRestartKeepsEverything(t *testing.T) {
	for _, hierarchy := range ca.Hierarchies() {
		t.Run(string(hierarchy), func(t *testing.T) {
			folder := dataFolder(filepath.Join(t.TempDir(), "data"))
			database := "sqlite:" + folder.path("imca.db")
			d := startDev(t, string(folder), database, "--hierarchy", string(hierarchy))
			var issued struct{ Certificate, Chain string }
			require.NoError(t, d.ask(demoToken, "POST", "/v1/certificates", `{"domain":"www.example.com"}`, http.StatusCreated, &issued))
			require.NoError(t, d.Stop())
			before := contents(t, folder)

			d = startDev(t, string(folder), database)
			require.Equal(t, before, contents(t, folder))
			require.NoError(t, d.ask(demoToken, "GET", "/v1/whoami", "", http.StatusOK, new(any)))

			// The root that the folder names for the server verifies the developer's certificate, the root of the CA the platform's, and openssl
			// agrees; in hierarchy separate they are not the same.
			state, err := folder.state()
			require.NoError(t, err)
			leaf, chain := filepath.Join(t.TempDir(), "leaf.pem"), filepath.Join(t.TempDir(), "chain.pem")
			require.NoError(t, os.WriteFile(leaf, []byte(issued.Certificate), 0o600))
			require.NoError(t, os.WriteFile(chain, []byte(issued.Certificate+issued.Chain), 0o600))
			judge.Run(t, "openssl", "verify", "-purpose", "sslserver", "-CAfile", folder.path(state.CA), "-untrusted", chain, leaf)
			judge.Run(t, "openssl", "verify", "-purpose", "sslclient", "-CAfile", folder.path("TencentQQAuthCA.crt"), folder.path(platformCert))
			if hierarchy == ca.HierarchySeparate {
				_, err := judge.RunErr(t, "openssl", "verify", "-CAfile", folder.path("TencentQQAuthCA.crt"), "-untrusted", chain, leaf)
				require.Error(t, err)
			}
		})
	}
}

// contents is what a data folder holds that must outlive a restart.
func contents(t *testing.T, folder dataFolder) map[string]string {
	t.Helper()
	kept := make(map[string]string)
	for _, pattern := range []string{"*.crt", "*.key", "*.token", "passphrase", "keys/*"} {
		paths, err := filepath.Glob(folder.path(pattern))
		require.NoError(t, err)
		require.NotEmpty(t, paths, pattern)
		for _, path := range paths {
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			kept[path] = string(text)
		}
	}
	return kept
}

// TestSeveralAtOnce starts everything twice at the same moment on a fresh database: the schema, the CA, the servers.
func TestSeveralAtOnce(t *testing.T) {
	databases(t, func(t *testing.T, database string) {
		folder := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(folder, "passphrase"), []byte("correct horse"), 0o600))
		configs := make([]string, 2)
		addresses := make([]string, 2)
		for i := range configs {
			addresses[i] = judge.FreeAddr(t)
			configs[i] = filepath.Join(folder, fmt.Sprintf("imca%d.yaml", i))
			text := fmt.Sprintf("database: %q\nlisten: {https: %q, http: %q, ops: off}\nca: {passphrase: 'file:passphrase'}\n", database, judge.FreeAddr(t), addresses[i])
			require.NoError(t, os.WriteFile(configs[i], []byte(text), 0o600))
		}
		both := func(do func(i int) (string, error)) string {
			var (
				running sync.WaitGroup
				outputs [2]string
				faults  [2]error
			)
			for i := range outputs {
				running.Go(func() { outputs[i], faults[i] = do(i) })
			}
			running.Wait()
			require.NoError(t, errors.Join(faults[:]...), outputs)
			return strings.Join(outputs[:], "\n")
		}
		output := both(func(i int) (string, error) { return judge.RunErr(t, "imca", "init", "--config", configs[i]) })
		require.Equal(t, 1, strings.Count(output, "The CA is made"), output)
		require.Equal(t, 1, strings.Count(output, "Nothing was changed"), output)
		keys, err := filepath.Glob(filepath.Join(folder, "keys", "*"))
		require.NoError(t, err)
		require.Len(t, keys, 1, "the key of the CA that lost is gone")

		both(func(i int) (string, error) {
			_, err := judge.StartErr(t, "imca serve", exec.Command("imca", "serve", "--config", configs[i]), func() error {
				_, err := judge.RunErr(t, "imca", "health", "--url", "http://"+addresses[i])
				return err
			})
			return "", err
		})
		require.Contains(t, judge.Run(t, "imca", "doctor", "--config", configs[0]), "2 certificates examined, no fault found", "each has issued its own")
	})
}
