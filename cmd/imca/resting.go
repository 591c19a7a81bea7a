package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/issuer"
	"github.com/imca-project/imca/internal/keys"
	"github.com/imca-project/imca/internal/pki"
)

func newCARest(p *program) *cobra.Command {
	var where *local
	cmd := &cobra.Command{
		Use: "rest NAME --config FILE", Short: "Let an authority rest: its key is on no server", Args: words(1, 1, "say which authority shall rest"),
		Long: `Let an authority rest. In a few seconds, when the servers that run have followed, it issues nothing and signs nothing; take its key
file away then, and keep it. Its certificates stay good. Its revocation lists are made where the key is and imported ('imca crl request', 'sign',
'import'), long before each one's end; OCSP is not answered for it.`,
		Example: "  imca ca rest TencentQQAuthCA --config imca.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			return where.with(cmd.Context(), func(authority *ca.CA, _ *opened) error {
				if err := authority.MoveKey(cmd.Context(), localAdmin(), args[0], ""); err != nil {
					return err
				}
				if p.json {
					return p.encode(map[string]string{"authority": args[0], "key": ""})
				}
				p.say("%s rests. Running servers follow in a few seconds: take its key file away then. Make its first revocation list now: 'imca crl request %s'.", args[0], args[0])
				return nil
			})
		},
	}
	where = localFlags(cmd)
	return cmd
}

func newCAWake(p *program) *cobra.Command {
	var where *local
	var ref string
	cmd := &cobra.Command{
		Use: "wake NAME --key FILE --config FILE", Short: "Have an authority that rests sign again", Args: words(1, 1, "say which authority shall sign again"),
		Long: `Have an authority that rests sign again, with the key file that was brought back to the folder of the keys of every server.
Running servers follow in a few seconds.`,
		Example: "  imca ca wake TencentQQAuthCA --key TencentQQAuthCA-12ab34cd.key --config imca.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := needed("key", ref, "NAME.key"); err != nil {
				return err
			}
			return where.with(cmd.Context(), func(authority *ca.CA, o *opened) error {
				if err := fits(authority, o, args[0], "file:"+ref); err != nil {
					return err
				}
				if err := authority.MoveKey(cmd.Context(), localAdmin(), args[0], "file:"+ref); err != nil {
					return err
				}
				if p.json {
					return p.encode(map[string]string{"authority": args[0], "key": "file:" + ref})
				}
				p.say("%s has its key again. Running servers follow in a few seconds.", args[0])
				return nil
			})
		},
	}
	where = localFlags(cmd)
	cmd.Flags().StringVar(&ref, "key", "", "the key file, relative to the folder of the keys")
	return cmd
}

// fits checks that a key can be opened, and is that of an authority.
func fits(authority *ca.CA, o *opened, name, ref string) error {
	if o.withoutKey != nil {
		return usageError{o.withoutKey}
	}
	key, err := o.keys.open(ref)
	if err != nil {
		return err
	}
	for _, i := range authority.Issuers() {
		if i.Name() == name {
			_, err := issuer.New(issuer.Config{Name: name, Certificate: i.Certificate(), Chain: i.Chain(), Key: key})
			return err
		}
	}
	return nil // MoveKey tells that there is none
}

// crlRequest is the file that goes to where the key of a resting authority is.
type crlRequest struct {
	Authority    string         `json:"authority"`
	Certificates string         `json:"certificates"` // PEM, the authority's own first
	Number       int64          `json:"latest_number"`
	Revoked      []revokedEntry `json:"revoked"`
}

type revokedEntry struct {
	Serial    pki.Serial `json:"serial"`
	RevokedAt time.Time  `json:"revoked_at"`
	Reason    string     `json:"reason"`
}

func newCRLRequest(p *program) *cobra.Command {
	var where *local
	var out string
	cmd := &cobra.Command{
		Use: "request NAME --out FILE --config FILE", Short: "Write what the next list of a resting authority must say", Args: words(1, 1, "say which authority's list it is"),
		Long: `Write what the next revocation list of an authority that rests must say, into a file for 'imca crl sign' where the key is. It has
nothing secret.`,
		Example: "  imca crl request TencentQQAuthCA --out request.json --config imca.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := needed("out", out, "request.json"); err != nil {
				return err
			}
			return where.with(cmd.Context(), func(authority *ca.CA, _ *opened) error {
				asked, err := authority.RequestCRL(cmd.Context(), localAdmin(), args[0])
				if err != nil {
					return err
				}
				request := crlRequest{Authority: asked.Authority, Number: asked.Number, Revoked: []revokedEntry{}}
				for _, c := range append([]*x509.Certificate{asked.By.Certificate()}, asked.By.Chain()...) {
					request.Certificates += string(pki.EncodeCertificate(c.Raw))
				}
				for _, r := range asked.Revoked {
					request.Revoked = append(request.Revoked, revokedEntry{r.Serial, r.At.Truncate(time.Second), r.Reason.String()})
				}
				text, err := json.MarshalIndent(request, "", "  ")
				if err != nil {
					return err
				}
				if err := writeFile(out, append(text, '\n'), publicMode); err != nil {
					return err
				}
				p.note("%s: %d revoked certificates of %s. Bring it to the key, and run: imca crl sign %s --key FILE --out %s.crl", out, len(request.Revoked), args[0], out, args[0])
				return nil
			})
		},
	}
	where = localFlags(cmd)
	cmd.Flags().StringVar(&out, "out", "", "the file to write")
	return cmd
}

func newCRLSign(p *program) *cobra.Command {
	var key, passphrase, out string
	var days int
	cmd := &cobra.Command{
		Use: "sign REQUEST --key FILE --out FILE", Short: "Make the list of a resting authority, where its key is", Args: words(1, 1, "name the file from 'imca crl request'"),
		Long: `Make the revocation list that 'imca crl request' asks for. It needs no server and no database: only the key of the authority, its
passphrase, and a clock that is right. Bring the list back, and run 'imca crl import'.`,
		Example: "  imca crl sign request.json --key TencentQQAuthCA-12ab34cd.key --passphrase file:passphrase --days 90 --out TencentQQAuthCA.crl",
		RunE: func(_ *cobra.Command, args []string) error {
			if err := errors.Join(needed("key", key, "NAME.key"), needed("out", out, "NAME.crl")); err != nil {
				return usageError{err}
			}
			if days < 4 || days > 366 {
				return usageError{fmt.Errorf("--days %d: give from 4, which leaves a weekend to bring the next one, to 366", days)}
			}
			signer, err := openKey(key, passphrase)
			if err != nil {
				return err
			}
			list, request, err := signRequest(args[0], signer, days, time.Now())
			if err != nil {
				return err
			}
			var der bytes.Buffer
			if _, err := list.WriteTo(&der); err != nil {
				return err
			}
			if err := writeFile(out, pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der.Bytes()}), publicMode); err != nil {
				return err
			}
			if p.json {
				return p.encode(map[string]any{"authority": request.Authority, "number": list.Number, "entries": len(request.Revoked), "next_update": list.NextUpdate})
			}
			p.say("%s: list %d of %s, %d entries, good until %s. Bring it back, and run: imca crl import %s %s --config imca.yaml",
				out, list.Number, request.Authority, len(request.Revoked), list.NextUpdate.Format(time.DateOnly), request.Authority, out)
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&key, "key", "", "the key file of the authority")
	flags.StringVar(&passphrase, "passphrase", "env:IMCA_PASSPHRASE", "where the passphrase of the key is: env:NAME or file:PATH")
	flags.StringVar(&out, "out", "", "the file to write, PEM")
	flags.IntVar(&days, "days", 90, "for how many days the list shall be good")
	return cmd
}

func openKey(path, passphrase string) (crypto.Signer, error) {
	secret, err := keys.Passphrase(passphrase)
	if err != nil {
		return nil, usageError{err}
	}
	return keys.Open("file:"+path, secret)
}

// signRequest makes the list that a request asks for.
func signRequest(path string, key crypto.Signer, days int, now time.Time) (*issuer.CRL, *crlRequest, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, usageError{err}
	}
	request := new(crlRequest)
	if err := json.Unmarshal(text, request); err != nil {
		return nil, nil, usageError{fmt.Errorf("%s is no request of 'imca crl request': %w", path, err)}
	}
	chain, err := pki.ParseCertificates([]byte(request.Certificates))
	if err != nil {
		return nil, nil, usageError{fmt.Errorf("%s: its certificates: %w", path, err)}
	}
	by, err := issuer.New(issuer.Config{Name: request.Authority, Certificate: chain[0], Chain: chain[1:], Key: key})
	if err != nil {
		return nil, nil, err
	}
	const day, backdate = 24 * time.Hour, 5 * time.Minute
	list := issuer.CRL{
		Number: max(request.Number+1, now.UnixMilli()), ThisUpdate: now.Add(-backdate), NextUpdate: now.Add(time.Duration(days) * day),
	}
	var entries []byte
	for _, r := range request.Revoked {
		reason, err := pki.ParseReason(r.Reason)
		if err != nil {
			return nil, nil, usageError{fmt.Errorf("%s: %s: %w", path, r.Serial, err)}
		}
		if r.Serial.IsZero() {
			return nil, nil, usageError{errors.New(path + ": an entry has no serial")}
		}
		entries = issuer.EncodeEntry(entries, r.Serial, r.RevokedAt, reason)
	}
	if len(entries) > 0 {
		list.Entries = [][]byte{entries}
	}
	signed, err := by.SignCRL(list)
	return signed, request, err
}

func newCRLImport(p *program) *cobra.Command {
	var where *local
	cmd := &cobra.Command{
		Use: "import NAME FILE --config FILE", Short: "Publish a list of a resting authority that was made elsewhere", Args: words(2, 2, "name the authority and the file of its list"),
		Long: `Publish a revocation list (PEM or DER) of an authority that rests. It is taken when the authority has signed it, when it is good now,
when its number is higher than that of the latest, when it leaves out nothing that the latest one lists, and when servers
understand it: full, with number and authority key identifier. Servers that run serve it at once.`,
		Example: "  imca crl import TencentQQAuthCA TencentQQAuthCA.crl --config imca.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			data, err := os.ReadFile(args[1])
			if err != nil {
				return usageError{err}
			}
			return where.with(cmd.Context(), func(authority *ca.CA, _ *opened) error {
				list, err := authority.ImportCRL(cmd.Context(), localAdmin(), args[0], data)
				if err != nil {
					return err
				}
				if p.json {
					return p.encode(map[string]any{"authority": args[0], "number": list.Number, "entries": list.Count, "next_update": list.NextUpdate, "waiting": list.Waiting})
				}
				p.say("List %d of %s is published: %d entries, good until %s.", list.Number, args[0], list.Count, list.NextUpdate.Format(time.DateOnly))
				if list.Waiting > 0 {
					p.say("%d certificates were revoked since it was asked for: make another list for them ('imca crl request').", list.Waiting)
				}
				return nil
			})
		},
	}
	where = localFlags(cmd)
	return cmd
}

// needed refuses a command without a flag that it needs.
func needed(flag, value, example string) error {
	if value == "" {
		return usageError{fmt.Errorf("--%s is missing: give it, as in --%s %s", flag, flag, example)}
	}
	return nil
}

// with opens the database and its authorities for a piece of work.
func (l *local) with(ctx context.Context, do func(authority *ca.CA, o *opened) error) (err error) {
	o, err := l.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.store.Close()) }()
	authority, _, err := o.authority(ctx)
	if err != nil {
		return err
	}
	return do(authority, o)
}
