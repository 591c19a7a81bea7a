package console

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"

	"github.com/imca-project/imca/internal/phrasebook"
)

//go:embed texts
var textFiles embed.FS

// language is a catalogue: every text for people, by its key.
type language struct {
	Tag   string // BCP 47
	Name  string // in the language itself
	texts map[string]string

	// book is of what the rest of imca says, which is English; a nil one leaves it so. It is opened for the first reader.
	book func() *phrasebook.Book
}

// loadLanguages reads the catalogues; the first one is for readers who want none of them.
func loadLanguages() []*language {
	languages := []*language{{Tag: "en", Name: "English"}, {Tag: "zh-CN", Name: "简体中文"}}
	for i, l := range languages {
		l.book = sync.OnceValue(func() *phrasebook.Book {
			if i == 0 {
				return nil
			}
			book, err := phrasebook.Open(l.Tag)
			must(err)
			return book
		})
		l.texts = make(map[string]string)
		files, err := fs.Glob(textFiles, path.Join("texts", l.Tag, "*.json"))
		must(err)
		for _, name := range files {
			content, err := textFiles.ReadFile(name)
			must(err)
			var part map[string]string
			must(json.Unmarshal(content, &part))
			maps.Copy(l.texts, part)
		}
	}
	return languages
}

// must ends the program when what was built into it cannot be read: no start of it would ever succeed, and the tests have read it.
func must(err error) {
	if err != nil {
		panic(fmt.Sprintf("reading the console's own files: %v", err))
	}
}

// text is the text of a key; fill is names and values by turns, for its placeholders {name}.
func (l *language) text(key string, fill ...any) (string, error) {
	text, found := l.texts[key]
	if !found {
		return "", fmt.Errorf("the catalogue %s has no text %q", l.Tag, key)
	}
	pairs := make([]string, 0, len(fill))
	for i := 0; i+1 < len(fill); i += 2 {
		pairs = append(pairs, fmt.Sprintf("{%v}", fill[i]), shown(fill[i+1]))
	}
	return strings.NewReplacer(pairs...).Replace(text), nil
}

// count is the text of a key for a number of things, {n}: key.one or key.other.
func (l *language) count(key string, n int, fill ...any) (string, error) {
	form := ".other"
	if n == 1 {
		form = ".one"
	}
	return l.text(key+form, append(fill, "n", n)...)
}

// word is the text for a value of a closed set, such as a state: set.value. A value that the set has not is shown as it is.
func (l *language) word(set string, value any) string {
	if text, found := l.texts[set+"."+fmt.Sprint(value)]; found {
		return text
	}
	return fmt.Sprint(value)
}

// told is a text of the rest of imca, a refusal or a finding, in this language. What stays English is marked.
func (l *language) told(text any) []phrasebook.Part { return l.book().Translate(fmt.Sprint(text)) }

// shown is a value within a text: numbers in groups of three digits.
func shown(value any) string {
	switch n := value.(type) {
	case int:
		return grouped(int64(n))
	case int64:
		return grouped(n)
	}
	return fmt.Sprint(value)
}

func grouped(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// languageCookie keeps the reader's own choice of a language.
const languageCookie = "__Host-imca-language"

// chosen is the language of a request: the reader's own choice, or what the browser likes best.
func (s *site) chosen(r *http.Request) *language {
	if cookie, err := r.Cookie(languageCookie); err == nil {
		for _, l := range s.languages {
			if l.Tag == cookie.Value {
				return l
			}
		}
	}
	return s.preferred(r.Header.Get("Accept-Language"))
}

// preferred is the best of our languages by an Accept-Language (RFC 9110, Section 12.5.4). Only the first part of a range counts: whoever reads
// any Chinese would rather have ours than English.
func (s *site) preferred(accept string) *language {
	best, weight := s.languages[0], 0.0
	for entry := range strings.SplitSeq(accept, ",") {
		tag, parameter, _ := strings.Cut(strings.TrimSpace(entry), ";")
		q := 1.0
		if text, found := strings.CutPrefix(strings.TrimSpace(parameter), "q="); found {
			var err error
			if q, err = strconv.ParseFloat(text, 64); err != nil {
				continue
			}
		}
		for _, l := range s.languages {
			if q > weight && strings.EqualFold(primary(tag), primary(l.Tag)) {
				best, weight = l, q
			}
		}
	}
	return best
}

func primary(tag string) string {
	first, _, _ := strings.Cut(strings.TrimSpace(tag), "-")
	return first
}

// chooseLanguage keeps the choice for a year, and goes back to the page where it was made.
func chooseLanguage(v *visit) error {
	const year = 365 * 24 * 60 * 60
	for _, l := range v.languages {
		if l.Tag == v.r.PostFormValue("language") {
			http.SetCookie(v.w, &http.Cookie{
				Name: languageCookie, Value: l.Tag, Path: "/", MaxAge: year, Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
			})
		}
	}
	return v.redirect(ownPath(v.r.PostFormValue("next"), "/"))
}
