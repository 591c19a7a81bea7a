{{template "folder" .}}acme.sh --register-account --server {{.Directory}}{{if .RootsPEM}} --ca-bundle {{.RootsFile}}{{end}}
{{- if .KeyID}} \
  --eab-kid {{.KeyID}} --eab-hmac-key {{.HMACKey}}
{{- end}}
acme.sh --issue --server {{.Directory}}{{if .RootsPEM}} --ca-bundle {{.RootsFile}}{{end}} --keylength ec-256 \
  --webroot {{.Webroot}}{{range .Names}} --domain {{.}}{{end}}
# Put what it fetches where your web server reads it; acme.sh renews by itself from then on, and reloads the server.
acme.sh --install-cert --ecc --domain {{.First}} --fullchain-file {{.Folder}}/{{.First}}.crt --key-file {{.Folder}}/{{.First}}.key \
  --reloadcmd 'systemctl reload apache2'
