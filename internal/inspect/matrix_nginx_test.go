package inspect

import (
	"strings"
)

func ownNginx(name string) []string {
	return []string{"ssl_certificate {dir}/" + name + ".crt;", "ssl_certificate_key {dir}/" + name + ".key;"}
}

const otherNginx = `server {
    listen 127.0.0.1:{port} ssl;
    server_name shop.example.com;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_certificate {dir}/shop.crt;
    ssl_certificate_key {dir}/shop.key;
    return 204;
}
`

var nginxRows = []row{
	{name: "right", mended: true},
	{name: "not asked", lines: []string{"-ssl_verify_client"}, codes: "not_asked", mended: true},
	{name: "off", lines: []string{"ssl_verify_client off;"}, codes: "not_asked", mended: true},
	{name: "optional", lines: []string{"ssl_verify_client optional;"}, conf: unpinned(nginxBase), codes: "not_required"},
	{name: "optional, and the site insists", lines: []string{"ssl_verify_client optional;"}, codes: ""},
	{name: "optional_no_ca", lines: []string{"ssl_verify_client optional_no_ca;"}, codes: "any_ca", mended: true},
	{name: "a word of Apache", lines: []string{"ssl_verify_client require;"}, codes: "verify_unknown", refused: true, mended: true},
	{name: "another name demanded", conf: strings.Replace(nginxBase, `callback\.platform\.internal`, `callback\.example\.org`, 1), codes: "pin_differs", cure: named(`callback\.example\.org`, `callback\.platform\.internal`)},
	{name: "no name demanded", conf: unpinned(nginxBase), codes: "pin_missing", mended: true},
	{name: "in location", conf: strings.Replace(strings.Replace(nginxBase, "    ssl_verify_client on;\n", "", 1), "location /", "location /callback {\nssl_verify_client on;\n}\nlocation /", 1), codes: "wrong_context", refused: true, mended: true},
	{name: "for a longer chain", lines: []string{"ssl_verify_depth 0;"}, codes: ""},
	{name: "depth for two intermediates", alter: deep, codes: "depth_too_small", mended: true},
	{name: "no TLS", lines: []string{"listen 127.0.0.1:{port};"}, codes: "plain_http", mended: true},
	{name: "another site first", conf: otherNginx + nginxBase, mended: true},
	{name: "another site with its name", conf: strings.Replace(otherNginx, "shop.example.com;", "www.example.com;", 1) + nginxBase, codes: "shadowed not_reloaded",
		cure: func(conf string) string {
			return strings.Replace(conf, "server_name www.example.com;", "server_name shop.example.com;", 1)
		}},
	{name: "inherited from http", conf: "ssl_verify_client optional_no_ca;\n" + strings.Replace(nginxBase, "    ssl_verify_client on;\n", "", 1), codes: "any_ca", mended: true},
	{name: "on one line", conf: strings.ReplaceAll(strings.Replace(nginxBase, "ssl_verify_client on", "ssl_verify_client optional_no_ca", 1), "\n    ssl_", " ssl_"), codes: "any_ca", mended: true},

	{name: "TLS 1.0 and 1.1, as once published", lines: []string{"ssl_protocols TLSv1 TLSv1.1;", "ssl_ciphers ALL:@SECLEVEL=0;"}, codes: "old_tls_only", mended: true},
	{name: "TLS 1.0 too", lines: []string{"ssl_protocols TLSv1 TLSv1.2;"}, codes: "old_tls_too", mended: true},

	{name: "no CA", lines: []string{"-ssl_client_certificate"}, codes: "ca_not_set", refused: true},
	{name: "the system's bundle", lines: []string{"ssl_client_certificate {dir}/public.crt;"}, codes: "ca_system ca_not_ours", mended: true},
	{name: "the system's bundle beside ours", lines: []string{"ssl_trusted_certificate {dir}/public.crt;"}, codes: "ca_system", cure: named("public.crt", "TencentQQAuthCA.crt")},
	{name: "another CA", lines: []string{"ssl_client_certificate {dir}/stranger.crt;"}, codes: "ca_not_ours", mended: true},
	{name: "a stranger beside ours", lines: []string{"ssl_client_certificate {dir}/ours-and-stranger.crt;"}, codes: "ca_foreign", mended: true},
	{name: "DER", lines: []string{"ssl_client_certificate {dir}/der.crt;"}, codes: "unreadable_file", refused: true, cure: named("der.crt", "TencentQQAuthCA.crt")},

	{name: "list", lines: []string{"ssl_crl {dir}/TencentQQAuthCA.crl;"}, mended: true},
	{name: "list lapsed", lines: []string{"ssl_crl {dir}/lapsed.crl;"}, codes: "list_lapsed", cure: named("lapsed.crl", "TencentQQAuthCA.crl")},
	{name: "list of tomorrow", lines: []string{"ssl_crl {dir}/tomorrow.crl;"}, codes: "list_not_yet", cure: named("tomorrow.crl", "TencentQQAuthCA.crl")},
	{name: "list of another CA", lines: []string{"ssl_crl {dir}/other.crl;"}, codes: "list_foreign", cure: named("other.crl", "TencentQQAuthCA.crl")},
	{name: "list of the one CA, and not of the other", lines: []string{"ssl_crl {dir}/TencentQQAuthCA.crl;", "ssl_client_certificate {dir}/ours-and-stranger.crt;"},
		codes: "ca_foreign list_incomplete", mended: true},

	{name: "list of one of two roots", lines: []string{"ssl_crl {dir}/TencentQQAuthCA.crl;", "ssl_client_certificate {dir}/both.crt;"},
		alter: func(c *Config, w *world) { c.ClientCAs = append(c.ClientCAs[:1:1], w.next.certificate) }, codes: "list_incomplete"},
	{name: "behind the issuing CA", lines: ownNginx("chained"), mended: true},
	{name: "chain incomplete", lines: []string{"ssl_certificate {dir}/unchained.crt;", "ssl_certificate_key {dir}/chained.key;"}, codes: "chain_incomplete", cure: named("unchained.crt", "chained.crt")},
	{name: "expired", lines: ownNginx("lapsed"), codes: "expired", cure: named("lapsed.", "www.example.com.")},
	{name: "for another name", lines: ownNginx("shop"), codes: "name_mismatch", cure: named("shop.", "www.example.com.")},
	{name: "self-signed", lines: ownNginx("selfsigned"), codes: "self_signed", cure: named("selfsigned.", "www.example.com.")},
	{name: "key of another", lines: []string{"ssl_certificate_key {dir}/shop.key;"}, codes: "key_mismatch", refused: true, cure: named("shop.key", "www.example.com.key")},
	{name: "key of another kind", lines: []string{"ssl_certificate_key {dir}/short.key;"}, codes: "key_mismatch", cure: named("short.key", "www.example.com.key")},
	{name: "key not named", lines: []string{"-ssl_certificate_key"}, codes: "key_missing", refused: true},
	{name: "file not there", lines: []string{"ssl_certificate {dir}/none.crt;"}, codes: "file_missing", refused: true, cure: named("none.crt", "www.example.com.crt")},
	{name: "unknown directive", lines: []string{"ssl_verify on;"}, codes: "refused_by_server", refused: true, cure: named("    ssl_verify on;\n", "")},
	{name: "brace open", lines: []string{"types {"}, codes: "unreadable_configuration", refused: true, cure: named("    types {\n", "")},
}

func deep(c *Config, _ *world) { c.Depth = 3 }
