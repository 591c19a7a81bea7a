{{template "folder" .}}mkdir -p /var/cache/nginx
(umask 077; cat > /etc/nginx/conf.d/imca-acme.conf) <<'END'
acme_issuer imca {
    uri {{.Directory}};
    contact {{.Contact}};
{{- if .KeyID}}
    external_account_key {{.KeyID}} data:{{.HMACKey}};
{{- end}}
{{- if .RootsPEM}}
    ssl_trusted_certificate {{.RootsFile}};
{{- end}}
    state_path /var/cache/nginx/imca-acme;
    accept_terms_of_service;
}
acme_shared_zone zone=ngx_acme_shared:1M;
END
# nginx 1.29 with its package nginx-module-acme. At the top of /etc/nginx/nginx.conf:
#     load_module modules/ngx_http_acme_module.so;
# in "http", unless there is one already, with the address of your DNS server:
#     resolver 192.0.2.53;
# in the "server" of {{.First}}, in place of its two lines ssl_certificate and ssl_certificate_key:
#     acme_certificate imca{{range .Names}} {{.}}{{end}};
#     ssl_certificate $acme_certificate;
#     ssl_certificate_key $acme_certificate_key;
# and some "server" that listens on port 80. Then run: systemctl reload nginx
