package console

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

//go:embed templates
var templateFiles embed.FS

// templates are those of one language, by the name of the page.
type templates map[string]*template.Template

// page is what one page shows. Its template is templates/pages/NAME.html, which defines "title" and "main"; both get a view.
type page interface{ template() string }

// view is what templates get.
type view struct {
	Page page
	chrome
}

// loadTemplates binds each page to each language: what a template calls t then is the text of that language. Those of a language are parsed for its
// first reader, as they take some megabytes.
func loadTemplates(languages []*language, a *assets) map[string]func() templates {
	byLanguage := make(map[string]func() templates)
	for _, l := range languages {
		byLanguage[l.Tag] = sync.OnceValue(func() templates { return templatesOf(l, a) })
	}
	return byLanguage
}

func templatesOf(l *language, a *assets) templates {
	pages, err := fs.Glob(templateFiles, "templates/pages/*.html")
	must(err)
	common, err := template.New("layout").Funcs(functions(l, a)).ParseFS(templateFiles, "templates/*.html")
	must(err)
	all := make(templates)
	for _, file := range pages {
		t, err := common.Clone()
		must(err)
		_, err = t.ParseFS(templateFiles, file)
		must(err)
		all[strings.TrimSuffix(path.Base(file), ".html")] = t
	}
	return all
}

// functions are what templates can call.
func functions(l *language, a *assets) template.FuncMap {
	return template.FuncMap{
		"t":         l.text,                                                                     // t "key" "name" value …
		"tn":        l.count,                                                                    // tn "key" number "name" value …
		"word":      l.word,                                                                     // word "set" value
		"told":      l.told,                                                                     // told .Detail: the parts for the template "told"
		"asset":     a.path,                                                                     // asset "console.css"
		"n":         func(n any) string { return shown(n) },                                     // a number
		"stamp":     func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }, // as it is shown without a script
		"day":       func(t time.Time) string { return t.UTC().Format(time.DateOnly) },
		"exact":     func(t time.Time) string { return t.UTC().Format(time.RFC3339) }, // as scripts read it
		"tone":      tone,                                                             // tone state: the colour of a state
		"filelines": fileLines,                                                        // filelines challenge: what puts it into a file
		"object":    objectPath,                                                       // object event own: where what an event is about is shown
		"claim":     claimPath,                                                        // where to decide about a claim
		"args":      arguments,                                                        // args "name" value …: the argument of a part
	}
}

// tone is the class of a state: whether it is as it should be.
func tone(state any) string {
	switch fmt.Sprint(state) {
	case "valid", "done", "healthy", "delivered":
		return "good"
	case "pending", "awaiting-approval", "conflict", "superseded", "undecided", "running", "warning":
		return "warn"
	case "revoked", "suspended", "rejected", "refused", "fault", "failed", "locked_out", "open", "wrong_way", "faulty", "failing":
		return "bad"
	}
	return ""
}

// arguments makes the argument of a part that needs several values.
func arguments(pairs ...any) (map[string]any, error) {
	values := make(map[string]any)
	for i := 0; i < len(pairs); i += 2 {
		name, isText := pairs[i].(string)
		if !isText || i+1 == len(pairs) {
			return nil, fmt.Errorf("args: want names and values by turns, got %v", pairs)
		}
		values[name] = pairs[i+1]
	}
	return values, nil
}

// show answers with a page.
func (v *visit) show(p page) error { return v.showStatus(http.StatusOK, p) }

// showStatus answers with a page and a status. The page is whole before its first byte leaves.
func (v *visit) showStatus(status int, p page) error {
	var body bytes.Buffer
	t, found := v.templates[v.lang.Tag]()[p.template()]
	if !found {
		return fmt.Errorf("there is no template %s", p.template())
	}
	if err := t.ExecuteTemplate(&body, "layout", view{Page: p, chrome: v.chrome()}); err != nil {
		return fmt.Errorf("making the page %s: %w", p.template(), err)
	}
	h := v.w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", v.lang.Tag)
	h.Add("Vary", "Accept-Language, Cookie")
	v.w.WriteHeader(status)
	_, _ = v.w.Write(body.Bytes())
	return nil
}

// option is one of several to choose from.
type option struct{ Value, Word string }

// plainOptions are values that stand for themselves; chosen is one of them, known or not.
func plainOptions(values []string, chosen string) (options []option) {
	if chosen != "" && !slices.Contains(values, chosen) {
		values = append(slices.Clone(values), chosen)
	}
	for _, value := range values {
		options = append(options, option{value, value})
	}
	return options
}
