package doorcheck

import "strings"

// oldTLS lets OpenSSL 3 speak what Debian has switched off.
const oldTLS = "SSLCipherSuite ALL:@SECLEVEL=0"

var apacheRows = []row{
	{name: "as handed out", admits: Yes, refuses: Yes},
	{name: "as handed out, with a revocation list", lines: []string{"SSLCARevocationFile {dir}/TencentQQAuthCA.crl", "SSLCARevocationCheck leaf"},
		alter: withRevoked, admits: Yes, refuses: Yes, revoked: Yes},
	{name: "HTTP/2", lines: []string{"Protocols h2 http/1.1"}, admits: Yes, refuses: Yes},

	// Who gets in.
	{name: "optional", lines: []string{"SSLVerifyClient optional"}, admits: Yes, refuses: No, codes: "not_required", mend: "not_required"},
	{name: "optional_no_ca", lines: []string{"SSLVerifyClient optional_no_ca"}, admits: Yes, refuses: No, codes: "not_required any_ca", mend: "any_ca"},
	{name: "none", lines: []string{"SSLVerifyClient none"}, admits: Yes, refuses: No, codes: "not_asked", mend: "not_asked"},
	{name: "never mentioned", lines: []string{"-SSLVerifyClient"}, admits: Yes, refuses: No, codes: "not_asked", mend: "not_asked"},
	{name: "names compared, nothing verified", lines: []string{"SSLVerifyClient optional_no_ca", "RewriteEngine on",
		"RewriteCond %{SSL:SSL_CLIENT_S_DN_CN} !=callback.platform.internal\nRewriteRule .* - [F]"},
		admits: Yes, refuses: No, codes: "names_only", mend: "names_only"},
	{name: "optional, and the application insists", lines: []string{"SSLVerifyClient optional", "RewriteEngine on",
		"RewriteCond %{SSL:SSL_CLIENT_VERIFY} !=SUCCESS\nRewriteRule .* - [F]"}, admits: Yes, refuses: Yes},
	{name: "subject compared", lines: []string{"<Location />\nRequire expr \"%{SSL_CLIENT_S_DN_CN} == 'callback.platform.internal'\"\n</Location>"},
		admits: Yes, refuses: Yes},
	{name: "subject compared with a wrong one", lines: []string{"<Location />\nRequire expr \"%{SSL_CLIENT_S_DN_CN} == 'callback.example.org'\"\n</Location>"},
		admits: Yes, refuses: Yes, codes: "application_refuses",
		cure: func(conf string) string {
			return strings.ReplaceAll(conf, "callback.example.org", "callback.platform.internal")
		}},
	{name: "public CAs beside ours", lines: []string{"SSLCACertificateFile {dir}/public-and-ours.crt"}, admits: Yes, refuses: No, codes: "public_cas", mend: "public_cas"},
	{name: "a private CA beside ours", lines: []string{"SSLCACertificateFile {dir}/both.crt"}, admits: Yes, refuses: Yes, codes: "other_cas", mend: "other_cas"},
	{name: "ready for the next root", lines: []string{"SSLCACertificateFile {dir}/both.crt"}, alter: withNext, admits: Yes, refuses: Yes, ready: Yes},
	{name: "not ready for the next root", alter: withNext, admits: Yes, refuses: Yes, ready: No, codes: "next_root_refused",
		mend: "next_root_refused", cure: instead("TencentQQAuthCA.crt", "both.crt")},
	{name: "not ready for the next root, over TLS 1.2", lines: []string{"SSLProtocol TLSv1.2"}, alter: withNext, admits: Yes, refuses: Yes, ready: No,
		codes: "next_root_refused", mend: "next_root_refused", cure: instead("TencentQQAuthCA.crt", "both.crt")},
	{name: "next root without its revocation list", lines: []string{"SSLCACertificateFile {dir}/both.crt", "SSLCARevocationFile {dir}/TencentQQAuthCA.crl", "SSLCARevocationCheck leaf"},
		alter: revokedAnd(withNext), admits: Yes, refuses: Yes, revoked: Yes, ready: No, codes: "next_list_missing",
		mend: "next_list_missing", cure: instead("TencentQQAuthCA.crl", "roots.crl")},
	{name: "open, and so told nothing about the next root", lines: []string{"-SSLVerifyClient"}, alter: withNext, admits: Yes, refuses: No, ready: Unknown,
		codes: "not_asked"},
	// The CA file.
	{name: "system's CA bundle", lines: []string{"SSLCACertificateFile {dir}/public.crt"}, admits: No, refuses: No, codes: "ca_not_ours public_cas", mend: "ca_not_ours"},
	{name: "intermediate alone as CA", lines: []string{"SSLCACertificateFile {dir}/issuing.crt"}, admits: No, refuses: Unknown, codes: "ca_not_ours", mend: "ca_not_ours"},
	{name: "another CA", lines: []string{"SSLCACertificateFile {dir}/next.crt"}, admits: No, refuses: Unknown, codes: "ca_not_ours", mend: "ca_not_ours"},
	{name: "an older CA of the same name", lines: []string{"SSLCACertificateFile {dir}/twin.crt"}, admits: No, refuses: Unknown, codes: "ca_stale", mend: "ca_stale"},
	{name: "no CA file", lines: []string{"-SSLCACertificateFile"}, admits: No, refuses: Unknown, codes: "ca_list_empty", mend: "ca_list_empty"},

	{name: "signatures of TLS 1.2 alone", lines: []string{"SSLOpenSSLConfCmd ClientSignatureAlgorithms RSA+SHA256"}, admits: No, refuses: Unknown, codes: "tls13_fails",
		cure: func(conf string) string { return strings.Replace(conf, "SSLOpenSSLConfCmd", "#", 1) }},
	{name: "RSA clients alone", lines: []string{"SSLOpenSSLConfCmd ClientSignatureAlgorithms RSA+SHA256:RSA-PSS+SHA256"}, admits: No, refuses: Unknown, codes: "key_type_refused",
		mend: "key_type_refused"},

	// Depth.
	{name: "platform behind an intermediate CA", alter: platformBehind, admits: No, refuses: Unknown, codes: "chain_too_deep", mend: "chain_too_deep"},
	{name: "not ready for an intermediate CA", alter: withIntermediate, admits: Yes, refuses: Yes, ready: No, codes: "intermediate_refused", mend: "intermediate_refused"},
	{name: "ready for an intermediate CA", lines: []string{"SSLVerifyDepth 2"}, alter: withIntermediate, admits: Yes, refuses: Yes, ready: Yes},
	{name: "intermediate CA without its revocation list", lines: []string{"SSLVerifyDepth 2", "SSLCARevocationFile {dir}/TencentQQAuthCA.crl", "SSLCARevocationCheck leaf"},
		alter: revokedAnd(withIntermediate), admits: Yes, refuses: Yes, revoked: Yes, ready: No, codes: "next_list_missing",
		mend: "next_list_missing", cure: instead("TencentQQAuthCA.crl", "both.crl")},

	// Where the question is asked.
	{name: "in <Location>", lines: []string{"-SSLVerifyClient", "<Location /callback>\nSSLVerifyClient require\n</Location>"}, admits: No, refuses: Unknown,
		codes: "asked_too_late", mend: "asked_too_late"},
	{name: "in <Location>, TLS 1.2 alone", lines: []string{"-SSLVerifyClient", "SSLProtocol TLSv1.2", "<Location /callback>\nSSLVerifyClient require\n</Location>"},
		admits: No, refuses: Unknown, codes: "asked_too_late", mend: "asked_too_late"},
	{name: "in another <Location>", lines: []string{"-SSLVerifyClient", "<Location /elsewhere>\nSSLVerifyClient require\n</Location>"}, admits: Yes, refuses: No,
		codes: "not_asked", mend: "not_asked"},

	// Revocation.
	{name: "no revocation list", alter: withRevoked, admits: Yes, refuses: Yes, revoked: No, codes: "revocation_not_checked", mend: "revocation_not_checked"},
	{name: "no revocation list, and one is demanded", admits: Yes, refuses: No, revoked: No, codes: "revocation_not_checked", mend: "revocation_not_checked",
		alter: func(c *Config, target *Target, w *world) {
			withRevoked(c, target, w)
			c.DemandRevocation = true
		}},
	{name: "revocation list without check", lines: []string{"SSLCARevocationFile {dir}/TencentQQAuthCA.crl"}, alter: withRevoked, admits: Yes, refuses: Yes, revoked: No,
		codes: "revocation_not_checked", mend: "revocation_not_checked"},
	{name: "revocation list expired", lines: []string{"SSLCARevocationFile {dir}/expired.crl", "SSLCARevocationCheck leaf"}, alter: withRevoked,
		admits: No, refuses: Unknown, codes: "revocation_list_expired", mend: "revocation_list_expired"},
	{name: "revocation list of another CA", lines: []string{"SSLCARevocationFile {dir}/other.crl", "SSLCARevocationCheck leaf"}, alter: withRevoked,
		admits: No, refuses: Unknown, codes: "revocation_list_missing", mend: "revocation_list_missing"},
	{name: "partitioned revocation list", lines: []string{"SSLCARevocationFile {dir}/idp.crl", "SSLCARevocationCheck chain"}, alter: withRevoked,
		admits: No, refuses: Unknown, codes: "revocation_list_partial", mend: "revocation_list_partial"},

	// The server's own certificate.
	{name: "expired", lines: own("lapsed"), admits: No, refuses: Yes, codes: "served_expired", mend: "served_expired"},
	{name: "renewed and not reloaded", lines: own("older"), admits: Yes, refuses: Yes, codes: "not_newest", mend: "not_newest"},
	{name: "expires soon", lines: own("soon"), alter: withoutRecords, admits: Yes, refuses: Yes, codes: "expires_soon"},
	{name: "revoked", admits: Yes, refuses: Yes, codes: "served_revoked", alter: servedRevoked},
	{name: "for another name", lines: own("shop"), admits: No, refuses: Yes, codes: "name_mismatch", mend: "name_mismatch"},
	{name: "common name alone", lines: own("cnonly"), admits: No, refuses: Yes, codes: "name_mismatch", mend: "name_mismatch"},
	{name: "chain incomplete", lines: own("unchained"), alter: chainedServer, admits: No, refuses: Yes, codes: "chain_incomplete",
		cure: func(conf string) string { return strings.ReplaceAll(conf, "unchained.crt", "chained.crt") }},
	{name: "behind the issuing CA", lines: own("chained"), alter: chainedServer, admits: Yes, refuses: Yes},
	{name: "chain reversed", lines: own("reversed"), alter: chainedServer, admits: Yes, refuses: Yes, codes: "chain_order",
		cure: func(conf string) string { return strings.ReplaceAll(conf, "reversed.", "chained.") }},
	{name: "self-signed", lines: own("selfsigned"), admits: No, refuses: Yes, codes: "unknown_issuer other_certificate", mend: "unknown_issuer"},
	{name: "for clients", lines: own("clientonly"), alter: withoutRecords, admits: No, refuses: Yes, codes: "wrong_usage", mend: "wrong_usage"},
	{name: "1024 bits", lines: append(own("short"), oldTLS, "SSLProtocol TLSv1.2"), alter: withoutRecords, admits: Yes, refuses: Yes, codes: "weak_key", mend: "weak_key"},
	{name: "SHA-1", lines: append(own("sha1"), oldTLS, "SSLProtocol TLSv1.2"), alter: withoutRecords, admits: No, refuses: Yes, codes: "weak_signature", mend: "weak_signature"},

	// Versions.
	{name: "TLS 1.0 alone", lines: []string{"SSLProtocol TLSv1", oldTLS}, admits: No, refuses: Unknown, codes: "old_tls_only", mend: "old_tls_only"},
	{name: "TLS 1.1 too", lines: []string{"SSLProtocol -all +TLSv1.1 +TLSv1.2", oldTLS}, admits: Yes, refuses: Yes, codes: "old_tls_too", mend: "old_tls_too"},

	// Sites.
	{name: "another site answers for the name", conf: strings.Replace(strings.ReplaceAll(otherSite+softwares[Apache].base, "ServerName www.example.com", "ServerName wwww.example.com"),
		"Listen 127.0.0.1:{port}\n", "", 1), admits: No, refuses: No, codes: "name_mismatch not_asked",
		cure: func(conf string) string {
			return strings.ReplaceAll(conf, "ServerName wwww.example.com", "ServerName www.example.com")
		}},
	{name: "another site without certificates beside it", conf: strings.Replace(otherSite+softwares[Apache].base, "Listen 127.0.0.1:{port}\n", "", 1), admits: Yes, refuses: Yes},

	// What answers behind the door.
	{name: "plain HTTP", lines: []string{"SSLEngine off"}, admits: No, refuses: Unknown, codes: "plain_http", mend: "plain_http"},
	{name: "no such path", alter: path("/nothing"), admits: Yes, refuses: Yes, codes: "path_unknown"},
	{name: "no such path and not asked", lines: []string{"-SSLVerifyClient"}, alter: path("/nothing"), admits: Yes, refuses: Unknown, codes: "path_unknown"},
	{name: "redirects", lines: []string{"RewriteEngine on\nRewriteRule ^/callback$ /elsewhere [R]"}, admits: Yes, refuses: Yes, codes: "redirected", cure: without("RewriteRule ^/callback$ /elsewhere [R]")},
	{name: "password", lines: []string{"RewriteEngine on\nRewriteRule .* - [R=401]"}, admits: Yes, refuses: Yes, codes: "application_refuses", cure: without("RewriteRule .* - [R=401]")},
	{name: "application down", lines: []string{"ProxyPass / http://127.0.0.1:1/"}, admits: Yes, refuses: Yes, codes: "application_fails", cure: without("ProxyPass / http://127.0.0.1:1/")},
}

// without takes a text out of a configuration: a line that stood in the way of the application.
func without(text string) func(string) string {
	return func(conf string) string { return strings.Replace(conf, text, "", 1) }
}

// own names the server's own certificate and key.
func own(name string) []string {
	return []string{"SSLCertificateFile {dir}/" + name + ".crt", "SSLCertificateKeyFile {dir}/" + name + ".key"}
}

const otherSite = `Listen 127.0.0.1:{port}
<VirtualHost *:{port}>
ServerName shop.example.com
DocumentRoot {dir}/htdocs
SSLEngine on
SSLCertificateFile {dir}/shop.crt
SSLCertificateKeyFile {dir}/shop.key
</VirtualHost>
`
