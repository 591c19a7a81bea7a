package inspect

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// own names the site's certificate and key.
func own(name string) []string {
	return []string{"SSLCertificateFile {dir}/" + name + ".crt", "SSLCertificateKeyFile {dir}/" + name + ".key"}
}

// named is a cure: another file's name.
func named(from, to string) func(string) string {
	return func(conf string) string { return strings.ReplaceAll(conf, from, to) }
}

const otherApache = `Listen 127.0.0.1:{port}
<VirtualHost *:{port}>
    ServerName shop.example.com
    SSLEngine on
    SSLCertificateFile {dir}/shop.crt
    SSLCertificateKeyFile {dir}/shop.key
    Redirect 204 "/"
</VirtualHost>
`

// rest is the base without its Listen.
var rest = strings.TrimPrefix(apacheBase, "Listen 127.0.0.1:{port}\n")

var apacheRows = []row{
	{name: "right", mended: true},

	// Who gets in.
	{name: "not asked", lines: []string{"-SSLVerifyClient"}, codes: "not_asked", mended: true},
	{name: "none", lines: []string{"SSLVerifyClient none"}, codes: "not_asked", mended: true},
	{name: "optional", lines: []string{"SSLVerifyClient optional"}, conf: unpinned(apacheBase), codes: "not_required"},
	{name: "optional, and a name is demanded", lines: []string{"SSLVerifyClient optional"}},
	{name: "optional_no_ca", lines: []string{"SSLVerifyClient optional_no_ca"}, codes: "any_ca", mended: true},
	{name: "require by another word", lines: []string{"SSLVerifyClient on"}, mended: true},
	{name: "an unknown word", lines: []string{"SSLVerifyClient required"}, codes: "verify_unknown", refused: true, mended: true},
	{name: "another name demanded", conf: strings.Replace(apacheBase, "'callback.platform.internal'", "'callback.example.org'", 1), codes: "pin_differs", cure: named("callback.example.org", "callback.platform.internal")},
	{name: "a pattern of the name demanded", conf: strings.Replace(apacheBase, "== 'callback.platform.internal'", "=~ /^callback\\.platform[.]internal$/", 1)},
	{name: "no name demanded", conf: unpinned(apacheBase), codes: "pin_missing", mended: true},
	{name: "in Location", conf: strings.Replace(strings.Replace(apacheBase, "    SSLVerifyClient require\n", "", 1), "        Require", "        SSLVerifyClient require\n        Require", 1), codes: "asked_too_late", mended: true},
	{name: "comment behind", lines: []string{"SSLVerifyClient require # always"}, codes: "comment_behind", refused: true, mended: true},
	{name: "depth 0", lines: []string{"SSLVerifyDepth 0"}, codes: "depth_too_small", mended: true},
	{name: "depth for an intermediate", alter: func(c *Config, _ *world) { c.Depth = 2 }, codes: "depth_too_small", mended: true},
	{name: "no TLS", lines: []string{"-SSLEngine"}, codes: "plain_http", mended: true},
	{name: "another site first", conf: otherApache + rest, mended: true},
	{name: "another site with its name", conf: strings.Replace(otherApache, "shop.example.com", "www.example.com", 1) + rest,
		codes: "shadowed not_reloaded", cure: func(conf string) string {
			return strings.Replace(conf, "ServerName www.example.com\n    SSLEngine on\n    SSLCertificateFile /", "ServerName shop.example.com\n    SSLEngine on\n    SSLCertificateFile /", 1)
		}},
	{name: "inherited from the main server", conf: "SSLVerifyClient optional_no_ca\n" + strings.Replace(apacheBase, "    SSLVerifyClient require\n", "", 1),
		codes: "any_ca", mended: true},
	{name: "behind conditions", conf: "<IfModule !mod_ssl.c>\nUnknown\n</IfModule>\n<IfModule mod_ssl.c>\nDefine FILES {dir}\n" +
		strings.ReplaceAll(apacheBase, "{dir}", "${FILES}") + "</IfModule>\n<IfVersion < 2.0>\n" + strings.Replace(rest, "require", "none", 1) + "</IfVersion>\n"},

	// Versions.
	{name: "TLS 1.0 alone", lines: []string{"SSLProtocol TLSv1", "SSLCipherSuite DEFAULT@SECLEVEL=0"}, codes: "old_tls_only", mended: true},
	{name: "TLS 1.1 too", lines: []string{"SSLProtocol -all +TLSv1.1 +TLSv1.2"}, codes: "old_tls_too", mended: true},

	// The CA.
	{name: "no CA", lines: []string{"-SSLCACertificateFile"}, codes: "ca_not_set"},
	{name: "the system's bundle", lines: []string{"SSLCACertificateFile {dir}/public.crt"}, codes: "ca_system ca_not_ours", mended: true},
	{name: "another CA", lines: []string{"SSLCACertificateFile {dir}/stranger.crt"}, codes: "ca_not_ours", mended: true},
	{name: "an older CA of the same name", lines: []string{"SSLCACertificateFile {dir}/twin.crt"}, codes: "ca_not_ours", mended: true},
	{name: "an intermediate alone", lines: []string{"SSLCACertificateFile {dir}/issuing.crt"}, codes: "ca_not_ours", mended: true},
	{name: "a stranger beside ours", lines: []string{"SSLCACertificateFile {dir}/ours-and-stranger.crt"}, codes: "ca_foreign", mended: true},
	{name: "an issuing CA alone, and nothing to compare with", lines: []string{"SSLCACertificateFile {dir}/issuing.crt"}, alter: func(c *Config, _ *world) { c.ClientCAs = nil }, codes: "ca_no_root"},
	{name: "expired CA", lines: []string{"SSLCACertificateFile {dir}/lapsedca.crt"}, alter: func(c *Config, _ *world) { c.ClientCAs = nil }, codes: "ca_expired"},
	{name: "one of two", alter: func(c *Config, w *world) { c.ClientCAs = append(c.ClientCAs[:1:1], w.next.certificate) }, codes: "ca_incomplete"},
	{name: "DER", lines: []string{"SSLCACertificateFile {dir}/der.crt"}, codes: "unreadable_file", refused: true, cure: named("der.crt", "TencentQQAuthCA.crt")},
	{name: "empty", lines: []string{"SSLCACertificateFile {dir}/empty.crt"}, codes: "file_missing", refused: true, cure: named("empty.crt", "TencentQQAuthCA.crt")},

	// Revocation.
	{name: "list without check", lines: []string{"SSLCARevocationFile {dir}/TencentQQAuthCA.crl"}, codes: "list_not_checked", mended: true},
	{name: "check without list", lines: []string{"SSLCARevocationCheck leaf"}, codes: "list_not_set", refused: true, mended: true},
	{name: "list and check", lines: []string{"SSLCARevocationFile {dir}/TencentQQAuthCA.crl", "SSLCARevocationCheck chain"}, mended: true},
	{name: "list lapsed", lines: []string{"SSLCARevocationFile {dir}/lapsed.crl", "SSLCARevocationCheck leaf"}, codes: "list_lapsed", cure: named("lapsed.crl", "TencentQQAuthCA.crl")},
	{name: "list of tomorrow", lines: []string{"SSLCARevocationFile {dir}/tomorrow.crl", "SSLCARevocationCheck leaf"}, codes: "list_not_yet", cure: named("tomorrow.crl", "TencentQQAuthCA.crl")},
	{name: "list lapses soon", lines: []string{"SSLCARevocationFile {dir}/soon.crl", "SSLCARevocationCheck leaf"}, codes: "list_lapses_soon", cure: named("soon.crl", "TencentQQAuthCA.crl")},
	{name: "list of another CA", lines: []string{"SSLCARevocationFile {dir}/other.crl", "SSLCARevocationCheck leaf"}, codes: "list_foreign", cure: named("other.crl", "TencentQQAuthCA.crl")},
	{name: "partitioned list", lines: []string{"SSLCARevocationFile {dir}/idp.crl", "SSLCARevocationCheck leaf"}, codes: "list_partial", cure: named("idp.crl", "TencentQQAuthCA.crl")},

	// The server's own certificate.
	{name: "behind the issuing CA", lines: own("chained"), mended: true},
	{name: "chain incomplete", lines: []string{"SSLCertificateFile {dir}/unchained.crt", "SSLCertificateKeyFile {dir}/chained.key"}, codes: "chain_incomplete", cure: named("unchained.crt", "chained.crt")},
	{name: "chain in two files", lines: []string{"SSLCertificateFile {dir}/unchained.crt", "SSLCertificateKeyFile {dir}/chained.key", "SSLCertificateChainFile {dir}/issuing.crt"}, mended: true},
	{name: "chain reversed", lines: []string{"SSLCertificateFile {dir}/reversed.crt", "SSLCertificateKeyFile {dir}/chained.key"}, codes: "chain_order", cure: named("reversed.crt", "chained.crt")},
	{name: "issuer first", lines: []string{"SSLCertificateFile {dir}/rootfirst.crt", "SSLCertificateKeyFile {dir}/chained.key"}, refused: true,
		codes: "key_mismatch name_mismatch", cure: named("rootfirst", "chained")},
	{name: "expired", lines: own("lapsed"), codes: "expired", cure: named("lapsed.", "www.example.com.")},
	{name: "expires soon", lines: own("soon"), codes: "expires_soon", cure: named("soon.", "www.example.com.")},
	{name: "not yet valid", lines: own("early"), codes: "not_yet_valid", cure: named("early.", "www.example.com.")},
	{name: "for another name", lines: own("shop"), codes: "name_mismatch", cure: named("shop.", "www.example.com.")},
	{name: "common name alone", lines: own("cnonly"), codes: "name_mismatch", cure: named("cnonly.", "www.example.com.")},
	{name: "for clients", lines: own("clientonly"), codes: "wrong_usage", cure: named("clientonly.", "www.example.com.")},
	{name: "self-signed", lines: own("selfsigned"), codes: "self_signed", cure: named("selfsigned.", "www.example.com.")},
	{name: "of another CA", lines: own("unknown"), codes: "chain_incomplete", cure: named("unknown.", "www.example.com.")},
	{name: "of another CA that is known", lines: own("unknown"), alter: func(c *Config, _ *world) { c.Roots = nil }},
	{name: "1024 bits", lines: append(own("short"), "SSLCipherSuite DEFAULT@SECLEVEL=0"), codes: "weak", cure: named("short.", "www.example.com.")},
	{name: "key of another", lines: []string{"SSLCertificateKeyFile {dir}/shop.key"}, codes: "key_mismatch", refused: true, cure: named("shop.key", "www.example.com.key")},
	{name: "no certificate", lines: []string{"-SSLCertificateFile", "-SSLCertificateKeyFile"}, codes: "no_certificate", refused: true},
	{name: "encrypted key", lines: []string{"SSLCertificateKeyFile {dir}/encrypted.key"}, codes: "key_encrypted", refused: true, cure: named("encrypted.key", "www.example.com.key")},
	{name: "file not there", lines: []string{"SSLCertificateFile {dir}/none.crt"}, codes: "file_missing", refused: true, cure: named("none.crt", "www.example.com.crt")},
	{name: "key open to all", files: func(t *testing.T, _ *world, dir string) {
		require.NoError(t, os.Chmod(filepath.Join(dir, "www.example.com.key"), 0o644))
	}, codes: "key_open", mended: true},
	{name: "key not for who starts it", alter: func(c *Config, _ *world) { c.User = "nobody" }, codes: "cannot_read"},
	{name: "unknown directive", lines: []string{"SSLVerifyKlient require"}, codes: "refused_by_server", refused: true, cure: named("    SSLVerifyKlient require\n", "")},
	{name: "section open", lines: []string{"<Directory /x>"}, codes: "unreadable_configuration", refused: true, cure: named("    <Directory /x>\n", "")},
	{name: "nothing to compare with", alter: func(c *Config, _ *world) { c.ClientCAs, c.Roots, c.Dial, c.Run = []*x509.Certificate{}, nil, nil, nil }},
}

// unpinned is a configuration without the platform's name.
func unpinned(conf string) string {
	var kept []string
	skip := false
	for line := range strings.Lines(conf) {
		skip = skip || strings.Contains(line, "if (")
		if !skip && !strings.Contains(line, "Require expr") {
			kept = append(kept, line)
		}
		skip = skip && !strings.Contains(line, "}")
	}
	return strings.Join(kept, "")
}
