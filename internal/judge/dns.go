package judge

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// Nameserver is a running Knot DNS, authoritative for the zones of a test.
type Nameserver struct {
	Addr string // host:port, UDP and TCP

	dir    string
	serial int
	zones  []string
}

// Knot starts Debian's knotd on 127.0.0.1 with zones: the name of each ("example.test", "." for the root) and its records in zone
// file form, to which SOA and NS are added. Names without a final dot are below the zone. Whoever asks may change them by DNS UPDATE (RFC 2136), as clients for dns-01 do.
func Knot(t testing.TB, zones map[string]string) *Nameserver {
	t.Helper()
	knotd := Path(t, "knotd")
	port := FreePort(t)
	n := &Nameserver{Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), dir: shortDir(t)}

	var conf strings.Builder
	fmt.Fprintf(&conf, "server:\n  rundir: %q\n  listen: 127.0.0.1@%d\n  udp-workers: 1\n  tcp-workers: 1\n", n.dir, port)
	fmt.Fprintf(&conf, "database:\n  storage: %q\n  journal-db-max-size: 1M\n", n.dir)
	conf.WriteString("log:\n  - target: stderr\n    any: info\nacl:\n  - id: anybody\n    address: 127.0.0.1\n    action: update\nzone:\n")
	for zone, records := range zones {
		n.zones = append(n.zones, zone)
		n.write(t, zone, records)
		fmt.Fprintf(&conf, "  - domain: %q\n    file: %q\n    zonefile-sync: -1\n    journal-content: none\n    acl: anybody\n", zone, n.file(zone))
	}
	file := filepath.Join(n.dir, "knot.conf")
	if err := os.WriteFile(file, []byte(conf.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	Start(t, "Knot", exec.Command(knotd, "-c", file), n.loaded)
	return n
}

// Replace gives a zone new records; when it returns they are served.
func (n *Nameserver) Replace(t testing.TB, zone, records string) {
	t.Helper()
	n.write(t, zone, records)
	Run(t, "knotc", "-b", "-c", filepath.Join(n.dir, "knot.conf"), "zone-reload", zone)
}

func (n *Nameserver) write(t testing.TB, zone, records string) {
	t.Helper()
	n.serial++ // a zone is reloaded only if its serial has grown
	origin := dns.Fqdn(zone)
	text := fmt.Sprintf("$ORIGIN %s\n$TTL 1\n@ SOA ns.invalid. hostmaster.invalid. %d 1 1 1 1\n@ NS ns.invalid.\n%s\n",
		origin, n.serial, records)
	if err := os.WriteFile(n.file(zone), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (n *Nameserver) file(zone string) string {
	return filepath.Join(n.dir, "zone-"+strings.Trim(zone, "."))
}

// loaded tells whether every zone is served: knotd listens before it has read them.
func (n *Nameserver) loaded() error {
	for _, zone := range n.zones {
		reply, err := dns.Exchange(new(dns.Msg).SetQuestion(dns.Fqdn(zone), dns.TypeSOA), n.Addr)
		if err != nil {
			return err
		}
		if len(reply.Answer) != 1 {
			return fmt.Errorf("zone %s: %s", zone, dns.RcodeToString[reply.Rcode])
		}
	}
	return nil
}

// shortDir is a temporary folder in which a control socket has room: the path of one is at most 107 bytes long.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "judge-dns-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
