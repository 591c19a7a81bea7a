package acme

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/web"
)

// A nonce is when it was made (8 octets), 8 random octets, and 16 of an HMAC over both. So nobody keeps the nonces that are out, and each is
// good on every server and after a restart; those that come back are kept until they have had their time, and a constraint spends each once.
// A client that gets badNonce more than once may give up for good (dehydrated does at the first), hence the long life.
const (
	nonceSize = 32
	nonceLife = 4 * time.Hour

	// nonceSkew is how far the clocks of two servers may be apart.
	nonceSkew = 5 * time.Minute
)

func (d *door) freshNonce(now time.Time) string {
	nonce := make([]byte, nonceSize)
	binary.BigEndian.PutUint64(nonce, uint64(now.UnixMicro()))
	rand.Read(nonce[8:16])
	copy(nonce[16:], d.nonceMAC(nonce[:16]))
	return base64.RawURLEncoding.EncodeToString(nonce)
}

func (d *door) nonceMAC(body []byte) []byte {
	mac := hmac.New(sha256.New, d.NonceKey)
	mac.Write(body)
	return mac.Sum(nil)[:16]
}

// readNonce refuses what is no nonce of ours, or one that has had its time.
func (d *door) readNonce(text string, now time.Time) (body [16]byte, until time.Time, err error) {
	nonce, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(nonce) != nonceSize || !hmac.Equal(nonce[16:], d.nonceMAC(nonce[:16])) {
		return body, until, badNonce("The nonce is not of this server")
	}
	made := time.UnixMicro(int64(binary.BigEndian.Uint64(nonce))).UTC()
	until = made.Add(nonceLife)
	if now.Add(nonceSkew).Before(made) || !now.Before(until) {
		return body, until, badNonce("The nonce is older than %v", nonceLife)
	}
	return [16]byte(nonce), until, nil
}

func (d *door) spendNonce(ctx context.Context, text string, now time.Time) error {
	nonce, until, err := d.readNonce(text, now)
	if err != nil {
		return err
	}
	// A server whose clock is behind may still be asked for it.
	switch err := d.Store.SpendNonce(ctx, nonce, until.Add(nonceSkew)); {
	case errors.Is(err, ca.ErrExists):
		return badNonce("The nonce was used before")
	case err != nil:
		return fmt.Errorf("spending a nonce: %w", err)
	}
	return nil
}

func badNonce(why string, args ...any) error {
	return web.Refuse(web.KindBadNonce, why+": repeat the request with the one in the header Replay-Nonce of this answer.", args...)
}
