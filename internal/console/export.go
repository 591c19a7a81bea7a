package console

import (
	"context"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/imca-project/imca/internal/ca"
)

// exported is a certificate as it is exported: the fields of REST that say something about it.
type exported struct {
	Serial      string     `json:"serial"`
	Status      string     `json:"status"`
	Profile     string     `json:"profile"`
	Authority   string     `json:"issuer"`
	App         string     `json:"app"`
	Names       []string   `json:"domains"`
	KeyType     string     `json:"key_type"`
	NotBefore   time.Time  `json:"not_before"`
	NotAfter    time.Time  `json:"not_after"`
	CreatedAt   time.Time  `json:"created_at"`
	RequestedBy string     `json:"requested_by"`
	Fingerprint string     `json:"fingerprint_sha256"`
	RevokedAt   *time.Time `json:"revoked_at"`
	Reason      string     `json:"revocation_reason"`
}

func newExported(c *ca.Certificate, now time.Time) exported {
	e := exported{
		Serial: c.Serial.String(), Status: string(c.Status(now)), Profile: c.Profile, Authority: c.Authority, App: c.App, KeyType: string(c.KeyType),
		NotBefore: c.NotBefore, NotAfter: c.NotAfter, CreatedAt: c.CreatedAt, RequestedBy: c.RequestedBy, Names: make([]string, len(c.Names)),
	}
	for i, n := range c.Names {
		e.Names[i] = n.String()
	}
	if len(c.Signature) > 0 {
		e.Fingerprint = hex.EncodeToString(c.Fingerprint[:])
	}
	if c.Revocation != nil {
		e.RevokedAt, e.Reason = &c.Revocation.At, c.Revocation.Reason.String()
	}
	return e
}

// encoder writes an export.
type encoder interface {
	begin() error
	add(exported) error
	end() error
}

// exportPageTime is how long the reader may take for a page of an export. The whole of it has no bound: it ends when the reader goes.
const exportPageTime = 30 * time.Second

// export streams all that a search finds, page by page, so that neither the server nor the database holds more than one of them.
func export(mediaType, name string, newEncoder func(io.Writer) encoder) func(*visit) error {
	return func(v *visit) error {
		s := v.readSearch(v.r.URL.Query())
		if len(s.Unknown) > 0 {
			return &ca.Error{Kind: ca.KindInvalid, Field: "q", Detail: fmt.Sprintf("The search has a word of no known shape (%s): take it out.", strings.Join(s.Unknown, " "))}
		}
		page, err := v.find(s, ca.MaxPage, ca.Cursor{})
		if err != nil {
			return err // before the first byte, so it can be told
		}
		h := v.w.Header()
		h.Set("Content-Type", mediaType)
		h.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="%s"`, strings.Replace(name, "*", v.now.Format("20060102-150405"), 1)))
		if v.r.Method == http.MethodHead {
			return nil
		}
		if err := v.stream(s, page, newEncoder(v.w)); err != nil {
			// The answer has begun: to break it off is the only way to say that it is not whole.
			panic(http.ErrAbortHandler)
		}
		return nil
	}
}

func (v *visit) stream(s *search, page ca.CertificatePage, to encoder) error {
	control := http.NewResponseController(v.w)
	// The time of a request is for its work; this one lasts as long as its reader reads, who is missed at the next page.
	v.r = v.r.WithContext(context.WithoutCancel(v.context()))
	if err := to.begin(); err != nil {
		return err
	}
	for {
		// A connection that has no deadlines needs none.
		_ = control.SetWriteDeadline(time.Now().Add(exportPageTime))
		for _, c := range page.Items {
			if err := to.add(newExported(c, v.now)); err != nil {
				return err
			}
		}
		if page.Next.IsZero() {
			return to.end()
		}
		if err := control.Flush(); err != nil {
			return err
		}
		var err error
		if page, err = v.find(s, ca.MaxPage, page.Next); err != nil {
			v.frame.Explain(v.r, err) // for the log
			return err
		}
	}
}

// csvEncoder writes RFC 4180, for spreadsheets.
type csvEncoder struct{ *csv.Writer }

func newCSV(w io.Writer) encoder {
	c := csv.NewWriter(w)
	c.UseCRLF = true
	return csvEncoder{c}
}

func (c csvEncoder) begin() error {
	return c.Write([]string{"serial", "status", "profile", "issuer", "app", "domains", "key_type", "not_before", "not_after", "created_at", "requested_by",
		"fingerprint_sha256", "revoked_at", "revocation_reason"})
}

func (c csvEncoder) add(e exported) error {
	revoked := ""
	if e.RevokedAt != nil {
		revoked = e.RevokedAt.Format(time.RFC3339)
	}
	cells := []string{e.Serial, e.Status, e.Profile, e.Authority, e.App, strings.Join(e.Names, " "), e.KeyType, e.NotBefore.Format(time.RFC3339),
		e.NotAfter.Format(time.RFC3339), e.CreatedAt.Format(time.RFC3339), e.RequestedBy, e.Fingerprint, revoked, e.Reason}
	for i, cell := range cells {
		cells[i] = harmless(cell)
	}
	return c.Write(cells)
}

func (c csvEncoder) end() error {
	c.Flush()
	return c.Error()
}

// harmless keeps a spreadsheet from taking a cell for a formula, which could send what stands in the others away: it takes a text that begins with an
// apostrophe as it is.
func harmless(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}

// jsonEncoder writes one JSON array.
type jsonEncoder struct {
	w     io.Writer
	lines int
}

func newJSON(w io.Writer) encoder { return &jsonEncoder{w: w} }

func (j *jsonEncoder) begin() error {
	_, err := io.WriteString(j.w, "[")
	return err
}

func (j *jsonEncoder) add(e exported) error {
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	before := ",\n"
	if j.lines == 0 {
		before = "\n"
	}
	j.lines++
	_, err = j.w.Write(append([]byte(before), line...))
	return err
}

func (j *jsonEncoder) end() error {
	_, err := io.WriteString(j.w, "\n]\n")
	return err
}
