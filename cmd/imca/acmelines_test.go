package main

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/judge"
)

// developer is a machine on which somebody pastes lines.
type developer struct {
	*acmeWorld
	*judge.Machine
}

// newDeveloper is a developer of a server that wants accounts to be bound.
func newDeveloper(t *testing.T) developer {
	w := newACMEWorld(t, "--acme-eab", "required")
	return developer{w, judge.NewMachine(t)}
}

// lines are what 'imca app eab' prints for a client.
func (d developer) lines(client string) string {
	d.Helper()
	token, err := filepath.Abs(d.folder.path(operatorToken))
	require.NoError(d.T, err)
	lines, err := d.Command("imca", "app", "eab", "demo", "--name", "web servers", "--for", client, "--domain", "www.shop.test", "--domain", "api.shop.test",
		"--url", d.url, "--ca", d.root, "--token-file", token).Output()
	require.NoError(d.T, err)
	return string(lines)
}

// paste runs lines in a shell of the developer's machine.
func (d developer) paste(lines string) {
	d.Helper()
	output, err := d.Command("sh", "-ec", lines).CombinedOutput()
	require.NoError(d.T, err, "%s\n%s", lines, output)
}

// show serves the machine's /var/www/html where proofs by http-01 are looked for.
func (d developer) show() {
	d.Helper()
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", d.httpPort))
	require.NoError(d.T, err)
	server := &httptest.Server{Listener: l, Config: &http.Server{Handler: http.FileServer(http.Dir(d.Machine.Path("/var/www/html")))}}
	server.Start()
	d.Cleanup(server.Close)
}

// TestLinesPasted pastes the lines that 'imca app eab --for' prints, as they are, into the shell of a machine with the real client, and then has
// its daily job run, on the day on which the certificate is to be renewed.
func TestLinesPasted(t *testing.T) {
	judge.Long(t)
	const folder = "/etc/imca-acme/"
	for client, c := range map[string]struct {
		tool, chain string
		due         string // makes the client take the certificate for one that is to be renewed
	}{
		"certbot": {"certbot", folder + "certbot/live/www.shop.test/fullchain.pem",
			"sed -i '1i renew_before_expiry = 365 days' /etc/imca-acme/certbot/renewal/www.shop.test.conf"},
		"dehydrated": {"dehydrated", folder + "dehydrated/certs/www.shop.test/fullchain.pem", "echo RENEW_DAYS=365 >> /etc/imca-acme/dehydrated/config"},
		"lego":       {"lego", folder + "lego/certificates/www.shop.test.crt", "sed -i 's/ renew / renew --days 365 /' /etc/cron.daily/imca-acme"},
		"uacme":      {"uacme", folder + "uacme/www.shop.test/cert.pem", "sed -i 's/ --type/ --days 365 --type/' /etc/imca-acme/uacme-issue"},
	} {
		t.Run(client, func(t *testing.T) {
			t.Parallel()
			judge.Need(t, c.tool, "knotd", "imca")
			d := newDeveloper(t)
			d.show()
			d.paste(d.lines(client))
			chain := d.Machine.Path(c.chain)
			serial := func() string { return d.requireChain(chain, "www.shop.test", "api.shop.test").SerialNumber.String() }
			first := serial()
			d.paste("/etc/cron.daily/imca-acme")
			require.Equal(t, first, serial(), "nothing is due")
			d.paste(c.due + "\n/etc/cron.daily/imca-acme")
			require.NotEqual(t, first, serial())
		})
	}
}

// TestBinding: nothing is to be had without a credential, nor after it was revoked.
func TestBinding(t *testing.T) {
	t.Parallel()
	judge.Need(t, "lego", "knotd", "imca")
	d := newDeveloper(t)
	d.show()
	output, err := d.runErr([]string{"LEGO_CA_CERTIFICATES=" + d.root}, "lego", "--server", d.directory(), "--accept-tos", "--email", "ops@shop.test",
		"--http", "--http.port", ":"+strconv.Itoa(d.httpPort), "--domains", "www.shop.test", "run")
	require.Error(t, err)
	require.Contains(t, output, "--eab", "it goes by the directory")

	lines := d.lines("lego")
	d.paste(lines)
	d.requireChain(d.Machine.Path("/etc/imca-acme/lego/certificates/www.shop.test.crt"), "www.shop.test", "api.shop.test")
	_, after, found := strings.Cut(lines, "--kid ")
	require.True(t, found)
	kid, _, _ := strings.Cut(after, " ")
	token, err := filepath.Abs(d.folder.path(operatorToken))
	require.NoError(t, err)
	d.run(nil, "imca", "token", "revoke", kid, "--url", d.url, "--ca", d.root, "--token-file", token)
	renewal, err := d.Command("/etc/imca-acme/run-lego", "renew", "--days", "365", "--no-random-sleep").CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(renewal), "was revoked")
}
