package doorcheck

import "strings"

var haproxyRows = []row{
	{name: "as handed out", admits: Yes, refuses: Yes},
	{name: "with a revocation list", lines: bind("verify required crl-file {dir}/TencentQQAuthCA.crl"), alter: withRevoked, admits: Yes, refuses: Yes, revoked: Yes},
	{name: "HTTP/2", lines: bind("verify required alpn h2,http/1.1"), admits: Yes, refuses: Yes},
	{name: "optional", lines: bind("verify optional"), admits: Yes, refuses: No, codes: "not_required", mend: "not_required"},
	{name: "none", lines: bind("verify none"), admits: Yes, refuses: No, codes: "not_asked", mend: "not_asked"},
	{name: "errors ignored", lines: bind("verify required ca-ignore-err all crt-ignore-err all"), admits: Yes, refuses: No, codes: "any_ca",
		mend: "any_ca"},
	{name: "errors of expiry ignored", lines: bind("verify required crt-ignore-err 10"), admits: Yes, refuses: No, codes: "expired_admitted", mend: "expired_admitted"},
	{name: "errors of purpose ignored", lines: bind("verify required crt-ignore-err 26"), admits: Yes, refuses: No, codes: "other_developers", mend: "other_developers"},
	{name: "optional, and the frontend insists", lines: bind("verify optional"),
		conf: strings.Replace(softwares[HAProxy].base, "http-request return", "http-request deny if !{ ssl_c_used }\nhttp-request return", 1), admits: Yes, refuses: Yes},
	{name: "an older CA of the same name", lines: []string{"bind 127.0.0.1:{port} ssl crt {dir}/www.example.com.pem ca-file {dir}/twin.crt verify required"},
		admits: No, refuses: Unknown, codes: "ca_stale", mend: "ca_stale"},
	{name: "another CA", lines: []string{"bind 127.0.0.1:{port} ssl crt {dir}/www.example.com.pem ca-file {dir}/next.crt verify required"},
		admits: No, refuses: Unknown, codes: "ca_not_ours", mend: "ca_not_ours"},
	{name: "not ready for the next root", alter: withNext, admits: Yes, refuses: Yes, ready: No, codes: "next_root_refused",
		mend: "next_root_refused", cure: instead("TencentQQAuthCA.crt", "both.crt")},
	{name: "ready for an intermediate CA, as it is", alter: withIntermediate, admits: Yes, refuses: Yes, ready: Yes},
	{name: "intermediate CA without its revocation list", lines: bind("verify required crl-file {dir}/TencentQQAuthCA.crl"),
		alter: revokedAnd(withIntermediate), admits: Yes, refuses: Yes, revoked: Yes, ready: No, codes: "next_list_missing",
		mend: "next_list_missing", cure: instead("TencentQQAuthCA.crl", "both.crl")},
	{name: "no revocation list", alter: withRevoked, admits: Yes, refuses: Yes, revoked: No, codes: "revocation_not_checked", mend: "revocation_not_checked"},
	{name: "revocation list expired", lines: bind("verify required crl-file {dir}/expired.crl"), alter: withRevoked, admits: No, refuses: Unknown,
		codes: "clock_ahead revocation_list_expired", mend: "revocation_list_expired"}, // HAProxy tells nobody the time
	{name: "expired", lines: []string{"bind 127.0.0.1:{port} ssl crt {dir}/lapsed.pem ca-file {dir}/TencentQQAuthCA.crt verify required"},
		admits: No, refuses: Yes, codes: "served_expired", mend: "served_expired"},
	{name: "TLS 1.1 too", lines: bind("verify required ssl-min-ver TLSv1.1 ciphers ALL:@SECLEVEL=0"), admits: Yes, refuses: Yes, codes: "old_tls_too", mend: "old_tls_too"},
	{name: "certificates asked for under one name alone", lines: []string{"bind 127.0.0.1:{port} ssl crt-list {dir}/by-name.list"}, admits: Yes, refuses: No,
		codes: "open_by_name", mend: "open_by_name"},
	{name: "no server behind it", conf: strings.Replace(softwares[HAProxy].base, "http-request return", "default_backend nobody\nbackend nobody\nserver s 127.0.0.1:1\n#", 1),
		admits: Yes, refuses: Yes, codes: "application_fails", cure: func(string) string { return softwares[HAProxy].base }},
	{name: "plain HTTP", lines: []string{"bind 127.0.0.1:{port}"}, admits: No, refuses: Unknown, codes: "plain_http", mend: "plain_http"},
}

func bind(how string) []string {
	return []string{"bind 127.0.0.1:{port} ssl crt {dir}/www.example.com.pem ca-file {dir}/TencentQQAuthCA.crt " + how}
}

var caddyRows = []row{
	{name: "as handed out", admits: Yes, refuses: Yes},
	{name: "not ready for the next root", alter: withNext, admits: Yes, refuses: Yes, ready: No, codes: "next_root_refused", mend: "next_root_refused"},
	{name: "ready for an intermediate CA, as it is", alter: withIntermediate, admits: Yes, refuses: Yes, ready: Yes},
	{name: "not asked", cure: nil, conf: caddyMode(""), admits: Yes, refuses: No, codes: "not_asked", mend: "not_asked"},
	{name: "request", conf: caddyMode("mode request"), admits: Yes, refuses: No, codes: "not_required any_ca", mend: "any_ca"},
	{name: "require", conf: caddyMode("mode require"), admits: Yes, refuses: No, codes: "any_ca", mend: "any_ca"},
	{name: "verify if given", conf: caddyMode("mode verify_if_given\ntrusted_ca_cert_file {dir}/TencentQQAuthCA.crt"), admits: Yes, refuses: No,
		codes: "not_required", mend: "not_required"},
	{name: "another CA", conf: caddyMode("mode require_and_verify\ntrusted_ca_cert_file {dir}/next.crt"), admits: No, refuses: Unknown, codes: "ca_not_ours", mend: "ca_not_ours"},
	{name: "an older CA of the same name", conf: caddyMode("mode require_and_verify\ntrusted_ca_cert_file {dir}/twin.crt"), admits: No, refuses: Unknown,
		codes: "ca_stale", mend: "ca_stale"},
	{name: "expired", conf: strings.ReplaceAll(softwares[Caddy].base, "www.example.com.crt {dir}/www.example.com.key", "lapsed.crt {dir}/lapsed.key"),
		admits: No, refuses: Yes, codes: "served_expired", mend: "served_expired"},
	{name: "another site", conf: strings.ReplaceAll(softwares[Caddy].base, "https://www.example.com", "https://shop.example.com"),
		admits: Yes, refuses: No, codes: "not_asked", // Caddy answers 200 for a name that it does not know
		cure: func(conf string) string { return strings.ReplaceAll(conf, "https://shop.", "https://www.") }},
}

// caddyMode is the base with another client_auth; "": none.
func caddyMode(mode string) string {
	block := "client_auth {\nmode require_and_verify\ntrusted_ca_cert_file {dir}/TencentQQAuthCA.crt\n}\n"
	with := ""
	if mode != "" {
		with = "client_auth {\n" + mode + "\n}\n"
	}
	return strings.Replace(softwares[Caddy].base, block, with, 1)
}

var nodeRows = []row{
	{name: "as handed out", admits: Yes, refuses: Yes},
	{name: "not ready for the next root", alter: withNext, admits: Yes, refuses: Yes, ready: No, codes: "next_root_refused", mend: "next_root_refused"},
	{name: "ready for an intermediate CA, as it is", alter: withIntermediate, admits: Yes, refuses: Yes, ready: Yes},
	{name: "with a revocation list", lines: []string{"crl: fs.readFileSync('{dir}/TencentQQAuthCA.crl'),"}, alter: withRevoked, admits: Yes, refuses: Yes, revoked: Yes},
	{name: "not rejected", lines: []string{"rejectUnauthorized: false,"}, admits: Yes, refuses: No, codes: "not_required any_ca", mend: "any_ca"},
	{name: "not requested", lines: []string{"requestCert: false,"}, admits: Yes, refuses: No, codes: "not_asked", mend: "not_asked"},
	{name: "not rejected, and the application insists", conf: strings.Replace(softwares[Node].base, "{ a.setHeader",
		"{ if (!q.client.authorized) { a.statusCode = 401; a.end('no'); return; } a.setHeader", 1), lines: []string{"rejectUnauthorized: false,"}, admits: Yes, refuses: Yes},
	{name: "another CA", lines: []string{"ca: fs.readFileSync('{dir}/next.crt'),"}, admits: No, refuses: Unknown, codes: "ca_not_ours", mend: "ca_not_ours"},
	{name: "system's CAs", lines: []string{"-ca:"}, admits: No, refuses: Unknown, codes: "ca_list_empty", mend: "ca_list_empty"},
	{name: "no revocation list", alter: withRevoked, admits: Yes, refuses: Yes, revoked: No, codes: "revocation_not_checked", mend: "revocation_not_checked"},
	{name: "expired", lines: []string{"cert: fs.readFileSync('{dir}/lapsed.crt'),", "key: fs.readFileSync('{dir}/lapsed.key'),"}, admits: No, refuses: Yes,
		codes: "served_expired", mend: "served_expired"},
	{name: "plain HTTP", conf: strings.Replace(softwares[Node].base, "https.createServer(options, answer)", "http.createServer(answer)", 1), admits: No, refuses: Unknown,
		codes: "plain_http",
		cure: func(conf string) string {
			return strings.Replace(conf, "http.createServer(answer)", "https.createServer(options, answer)", 1)
		}},
}
