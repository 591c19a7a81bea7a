package api

import (
	"errors"
	"fmt"
	"strings"

	"github.com/imca-project/imca/internal/ca"
)

// sentence is an error's text as the detail of a problem: a refusal's own, any other's with a stop at the end.
func sentence(err error) string {
	var refusal *ca.Error
	if errors.As(err, &refusal) {
		return refusal.Detail
	}
	return strings.TrimSuffix(err.Error(), ".") + "."
}

// joined lists values for a person: "a, b, c".
func joined[T any](values []T) string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = fmt.Sprint(v)
	}
	return strings.Join(texts, ", ")
}
