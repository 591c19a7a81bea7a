package doorcheck

import "strings"

var nginxRows = []row{
	{name: "as handed out", admits: Yes, refuses: Yes},
	{name: "TLS 1.3, HTTP/2 and a revocation list", lines: []string{"ssl_protocols TLSv1.2 TLSv1.3;", "ssl_crl {dir}/TencentQQAuthCA.crl;"},
		conf:  strings.Replace(softwares[Nginx].base, " ssl;", " ssl http2;", 1),
		alter: withRevoked, admits: Yes, refuses: Yes, revoked: Yes},

	// Who gets in.
	{name: "optional", lines: []string{"ssl_verify_client optional;"}, admits: Yes, refuses: No, codes: "not_required", mend: "not_required"},
	{name: "optional_no_ca", lines: []string{"ssl_verify_client optional_no_ca;"}, admits: Yes, refuses: No, codes: "not_required any_ca", mend: "any_ca"},
	{name: "off", lines: []string{"ssl_verify_client off;"}, admits: Yes, refuses: No, codes: "not_asked", mend: "not_asked"},
	{name: "CA named, never verified", lines: []string{"-ssl_verify_client"}, admits: Yes, refuses: No, codes: "not_asked", mend: "not_asked"},
	{name: "optional, and the site insists", lines: []string{"ssl_verify_client optional;", "if ($ssl_client_verify != SUCCESS) { return 403; }"}, admits: Yes, refuses: Yes},
	{name: "optional, and the site hangs up", lines: []string{"ssl_verify_client optional;", "if ($ssl_client_verify != SUCCESS) { return 444; }"}, admits: Yes, refuses: Yes},
	{name: "any certificate will do", lines: []string{"ssl_verify_client optional_no_ca;", "if ($ssl_client_verify = NONE) { return 403; }"}, admits: Yes, refuses: No,
		codes: "any_ca", mend: "any_ca"},
	{name: "its errors are answered with 200", lines: []string{"error_page 495 496 =200 /sorry;", "location /sorry { return 200 sorry; }"}, admits: Yes, refuses: Unknown},
	{name: "public CAs beside ours", lines: []string{"ssl_client_certificate {dir}/public-and-ours.crt;"}, admits: Yes, refuses: No, codes: "public_cas", mend: "public_cas"},

	// The CA file.
	{name: "system's CA bundle", lines: []string{"ssl_client_certificate {dir}/public.crt;"}, admits: No, refuses: No, codes: "ca_not_ours public_cas", mend: "ca_not_ours"},
	{name: "another CA", lines: []string{"ssl_client_certificate {dir}/next.crt;"}, admits: No, refuses: Unknown, codes: "ca_not_ours", mend: "ca_not_ours"},
	{name: "intermediate alone as CA", lines: []string{"ssl_client_certificate {dir}/issuing.crt;"}, alter: platformBehind, admits: No, refuses: Unknown, codes: "ca_not_ours", mend: "ca_not_ours"},
	{name: "an older CA of the same name", lines: []string{"ssl_client_certificate {dir}/twin.crt;"}, admits: No, refuses: Unknown,
		codes: "ca_stale revocation_list_expired", mend: "ca_stale"}, // nginx answers all of these alike
	{name: "platform behind an intermediate CA", alter: platformBehind, admits: Yes, refuses: Yes},

	// Roll-over.
	{name: "ready for the next root", lines: []string{"ssl_client_certificate {dir}/both.crt;"}, alter: withNext, admits: Yes, refuses: Yes, ready: Yes},
	{name: "not ready for the next root", alter: withNext, admits: Yes, refuses: Yes, ready: No, codes: "next_root_refused",
		mend: "next_root_refused", cure: instead("TencentQQAuthCA.crt", "both.crt")},
	{name: "ready for an intermediate CA, as it is", alter: withIntermediate, admits: Yes, refuses: Yes, ready: Yes},
	{name: "next root without its revocation list", lines: []string{"ssl_client_certificate {dir}/both.crt;", "ssl_crl {dir}/TencentQQAuthCA.crl;"},
		alter: revokedAnd(withNext), admits: Yes, refuses: Yes, revoked: Yes, ready: No, codes: "next_list_missing",
		mend: "next_list_missing", cure: instead("TencentQQAuthCA.crl", "roots.crl")},
	{name: "intermediate CA without its revocation list", lines: []string{"ssl_crl {dir}/TencentQQAuthCA.crl;"},
		alter: revokedAnd(withIntermediate), admits: Yes, refuses: Yes, revoked: Yes, ready: No, codes: "next_list_missing",
		mend: "next_list_missing", cure: instead("TencentQQAuthCA.crl", "both.crl")},

	// Revocation.
	{name: "no revocation list", alter: withRevoked, admits: Yes, refuses: Yes, revoked: No, codes: "revocation_not_checked", mend: "revocation_not_checked"},
	{name: "revocation list expired", lines: []string{"ssl_crl {dir}/expired.crl;"}, alter: withRevoked, admits: No, refuses: Unknown,
		codes: "ca_stale revocation_list_expired", mend: "revocation_list_expired"},
	{name: "revocation list of the root alone", lines: []string{"ssl_crl {dir}/TencentQQAuthCA.crl;"}, alter: platformBehind, admits: No, refuses: Unknown,
		codes: "ca_stale revocation_list_expired",
		cure:  func(conf string) string { return strings.ReplaceAll(conf, "TencentQQAuthCA.crl", "both.crl") }},

	// The server's own certificate.
	{name: "expired", lines: ownNginx("lapsed"), admits: No, refuses: Yes, codes: "served_expired", mend: "served_expired"},
	{name: "renewed and not reloaded", lines: ownNginx("older"), admits: Yes, refuses: Yes, codes: "not_newest", mend: "not_newest"},
	{name: "for another name", lines: ownNginx("shop"), admits: No, refuses: Yes, codes: "name_mismatch", mend: "name_mismatch"},
	{name: "chain incomplete", lines: ownNginx("unchained"), alter: chainedServer, admits: No, refuses: Yes, codes: "chain_incomplete",
		cure: func(conf string) string { return strings.ReplaceAll(conf, "unchained.crt", "chained.crt") }},
	{name: "self-signed", lines: ownNginx("selfsigned"), admits: No, refuses: Yes, codes: "unknown_issuer other_certificate", mend: "unknown_issuer"},
	{name: "key of another kind", lines: []string{"ssl_certificate_key {dir}/rsa.key;"}, admits: No, refuses: Unknown, codes: "no_shared_cipher", mend: "no_shared_cipher"},

	// Versions.
	{name: "TLS 1.0 and 1.1, as once published", lines: []string{"ssl_protocols TLSv1 TLSv1.1;", "ssl_ciphers ALL:@SECLEVEL=0;"}, admits: No, refuses: Unknown,
		codes: "old_tls_only", mend: "old_tls_only"},
	{name: "TLS 1.0 too", lines: []string{"ssl_protocols TLSv1 TLSv1.2;", "ssl_ciphers ALL:@SECLEVEL=0;"}, admits: Yes, refuses: Yes, codes: "old_tls_too", mend: "old_tls_too"},

	// Sites.
	{name: "another site answers for the name", conf: otherNginx + strings.Replace(softwares[Nginx].base, "server_name www.", "server_name wwww.", 1),
		admits: No, refuses: No, codes: "name_mismatch not_asked",
		cure: func(conf string) string { return strings.Replace(conf, "wwww.", "www.", 1) }},
	{name: "another site without certificates beside it", conf: otherNginx + softwares[Nginx].base, admits: Yes, refuses: Yes},

	// What is in front, and what is behind.
	{name: "proxy in front asks for nothing", conf: front + behindFront, admits: No, refuses: Unknown, codes: "certificate_lost",
		cure: func(string) string { return softwares[Nginx].base }},
	{name: "load balancer in front asks for nothing", conf: strings.Replace(front, "location", "add_header Via \"1.1 balancer\";\nlocation", 1) +
		strings.Replace(behindFront, "ssl_verify_client on", "ssl_verify_client off", 1), admits: Yes, refuses: No, codes: "not_asked terminated_in_front",
		mend: "terminated_in_front"},
	{name: "plain HTTP", conf: strings.Replace(softwares[Nginx].base, " ssl;", ";", 1), admits: No, refuses: Unknown, codes: "plain_http",
		cure: func(conf string) string { return strings.Replace(conf, "{port};", "{port} ssl;", 1) }},
	{name: "application down", lines: []string{"location /callback { proxy_pass http://127.0.0.1:1; }"}, admits: Yes, refuses: Yes, codes: "application_fails",
		cure: without("location /callback { proxy_pass http://127.0.0.1:1; }")},
	{name: "no such path", alter: path("/nothing"), admits: Yes, refuses: Yes, codes: "path_unknown"},
	{name: "refuses the method", lines: []string{"location /callback { limit_except POST { deny all; } }"}, admits: Yes, refuses: Yes, codes: "application_refuses",
		cure: without("limit_except POST { deny all; }")},
}

func ownNginx(name string) []string {
	return []string{"ssl_certificate {dir}/" + name + ".crt;", "ssl_certificate_key {dir}/" + name + ".key;"}
}

const otherNginx = `server {
listen 127.0.0.1:{port} ssl;
server_name shop.example.com;
root {dir}/htdocs;
ssl_certificate {dir}/shop.crt;
ssl_certificate_key {dir}/shop.key;
}
`

// front ends TLS and calls the server behind it over TLS, without a certificate of its own.
const front = `server {
listen 127.0.0.1:{port} ssl;
server_name www.example.com;
ssl_certificate {dir}/www.example.com.crt;
ssl_certificate_key {dir}/www.example.com.key;
location / { proxy_pass https://unix:{dir}/behind-{port}.sock; proxy_set_header Host www.example.com; proxy_ssl_server_name on; proxy_ssl_name www.example.com; }
}
`

const behindFront = `server {
listen unix:{dir}/behind-{port}.sock ssl;
server_name www.example.com;
root {dir}/htdocs;
ssl_certificate {dir}/www.example.com.crt;
ssl_certificate_key {dir}/www.example.com.key;
ssl_client_certificate {dir}/TencentQQAuthCA.crt;
ssl_verify_client on;
}
`
