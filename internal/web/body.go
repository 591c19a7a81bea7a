package web

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"

	"github.com/imca-project/imca/internal/ca"
)

// ReadBody reads the whole body of a request, which the frame has bounded. Its errors are refusals.
func ReadBody(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(r.Body)
	var large *http.MaxBytesError
	switch {
	case err == nil:
		return body, nil
	case errors.As(err, &large):
		return nil, tooLarge(large.Limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, Refuse(KindSlow, "The body did not arrive in time: send it in one go.")
	}
	refusal := Refuse(ca.KindMalformed, "The body ended early: send it whole.")
	refusal.Err = err
	return nil, refusal
}

func tooLarge(limit int64) *ca.Error {
	return Refuse(KindTooLarge, "The body has more than the %d bytes that are taken: split the request.", limit)
}

// unescapedQuery is the query of a request with its escapes undone.
func unescapedQuery(r *http.Request) (string, error) { return url.QueryUnescape(r.URL.RawQuery) }
