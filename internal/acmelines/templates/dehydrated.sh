{{template "folder" .}}mkdir -p {{.Folder}}/dehydrated {{.Webroot}}/.well-known/acme-challenge
(umask 077; cat > {{.Folder}}/dehydrated/config) <<'END'
CA={{.Directory}}
{{- if .KeyID}}
EAB_KID={{.KeyID}}
EAB_HMAC_KEY={{.HMACKey}}
{{- end}}
{{- if .RootsPEM}}
CURL_OPTS="--cacert {{.RootsFile}}"
{{- end}}
WELLKNOWN={{.Webroot}}/.well-known/acme-challenge
END
echo {{.Joined " "}} > {{.Folder}}/dehydrated/domains.txt
dehydrated --config {{.Folder}}/dehydrated/config --register --accept-terms
dehydrated --config {{.Folder}}/dehydrated/config --cron
# The certificate and its key: {{.Folder}}/dehydrated/certs/{{.First}}/fullchain.pem and privkey.pem. Renewal, every day:
cat > /etc/cron.daily/imca-acme <<'END'
#!/bin/sh
dehydrated --config {{.Folder}}/dehydrated/config --cron > /dev/null
{{template "reload"}}
END
chmod 755 /etc/cron.daily/imca-acme
