{{template "folder" .}}certbot() { {{if .RootsPEM}}REQUESTS_CA_BUNDLE={{.RootsFile}} {{end}}command certbot --config-dir {{.Folder}}/certbot --non-interactive "$@"; }
certbot certonly --server {{.Directory}} --agree-tos --register-unsafely-without-email \
{{- if .KeyID}}
  --eab-kid {{.KeyID}} --eab-hmac-key {{.HMACKey}} \
{{- end}}
  --webroot --webroot-path {{.Webroot}} --domain {{.Joined ","}}
# The certificate and its key: {{.Folder}}/certbot/live/{{.First}}/fullchain.pem and privkey.pem. Renewal, every day:
cat > /etc/cron.daily/imca-acme <<'END'
#!/bin/sh
{{if .RootsPEM}}REQUESTS_CA_BUNDLE={{.RootsFile}} {{end}}certbot renew --quiet --no-random-sleep-on-renew --config-dir {{.Folder}}/certbot
{{template "reload"}}
END
chmod 755 /etc/cron.daily/imca-acme
