package phrasebook

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// library is the file of what Go's own libraries say: no text of ours.
const library = "library"

// TestBooksHaveEveryText reads the code, and says of each text that a book lacks where it stands and what to add, and what else does not fit.
func TestBooksHaveEveryText(t *testing.T) {
	pkgs := load(t)
	said := make(map[string][]string) // the files that a text may stand in
	var all []found
	var faults []string
	for _, s := range sources {
		texts, needless := textsOf(pkgs[s.pkg], s)
		for _, f := range texts {
			f.file = path.Base(s.pkg)
			said[f.english] = append(said[f.english], f.file)
			all = append(all, f)
		}
		for _, name := range needless {
			faults = append(faults, fmt.Sprintf("internal/phrasebook/source_test.go: %q spares no text of %s any more: take it out of the table", name, s.pkg))
		}
	}
	for _, tag := range tags(t) {
		inFiles := byFile(t, tag)
		for _, f := range all {
			if f.must && !has(inFiles, f.english) {
				faults = append(faults, fmt.Sprintf("%s: readers of %s get this in English: add to internal/phrasebook/%s/%s.json\n  %s: \"…\"", f.at, tag, tag, f.file, quote(f.english)))
			}
		}
		for file, phrases := range inFiles {
			for english := range phrases {
				if file != library && file != marks && !slices.Contains(said[english], file) {
					faults = append(faults, fmt.Sprintf("internal/phrasebook/%s/%s.json: nothing in the package says this any more: take it out, or change it\n  %s", tag, file, quote(english)))
				}
			}
		}
	}
	if len(faults) > 0 {
		slices.Sort(faults)
		t.Fatalf("%d faults:\n%s", len(faults), strings.Join(faults, "\n"))
	}
}

// TestTextsAreFoundInTheCode shows the reader of the code what it must and must not find.
func TestTextsAreFoundInTheCode(t *testing.T) {
	pkgs := load(t)
	texts := make(map[string]bool)
	for _, s := range sources {
		found, _ := textsOf(pkgs[s.pkg], s)
		for _, f := range found {
			texts[f.english] = texts[f.english] || f.must
		}
	}
	for english, must := range map[string]bool{
		"The certificate %s was revoked while it was being issued: ask again, or ask who revoked it.": true, // refuse
		"The port speaks HTTP, not HTTPS": true, // a field of a rule
		"what the answer means to %s":     true, // a text and a call
		"%s, once more":                   true, // +=
		"is a loopback address: give the public address or, better, a name of the server":                 true, // a constant behind a text
		"The path has characters that a URL does not have: escape them by %%.":                            true, // a format by another name
		"has a zone, which means something on one machine only: give the address without what follows %%": true, // a percent sign that is none
		"SSLEngine on":                    false, // a line of configuration
		"revoking the certificate %s: %w": false, // a fault of ours
	} {
		found, known := texts[english]
		require.True(t, known, english)
		require.Equal(t, must, found, english)
	}
}

// quote writes a text as it stands in a JSON file.
func quote(english string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(english); err != nil {
		panic(err) // a string
	}
	return strings.TrimSpace(b.String())
}

func has(inFiles map[string]map[string]string, english string) bool {
	for _, phrases := range inFiles {
		if _, found := phrases[english]; found {
			return true
		}
	}
	return false
}

// tags are the languages that there are books of.
func tags(t *testing.T) (all []string) {
	folders, err := fs.ReadDir(files, ".")
	require.NoError(t, err)
	for _, f := range folders {
		all = append(all, f.Name())
	}
	require.NotEmpty(t, all)
	return all
}

// byFile are the phrases of a book by the name of their file, without its ending.
func byFile(t *testing.T, tag string) map[string]map[string]string {
	names, err := fs.Glob(files, tag+"/*.json")
	require.NoError(t, err)
	all := make(map[string]map[string]string)
	for _, name := range names {
		part, err := readPart(name)
		require.NoError(t, err)
		content, err := files.ReadFile(name)
		require.NoError(t, err)
		require.Equal(t, len(part)+2, strings.Count(string(content), "\n"), "%s: a line for each phrase, and none twice", name)
		all[strings.TrimSuffix(path.Base(name), ".json")] = part
	}
	return all
}

func TestOpen(t *testing.T) {
	for _, tag := range tags(t) {
		b, err := Open(tag)
		require.NoError(t, err)
		require.NotEmpty(t, b.exact)
	}
	_, err := Open("xx")
	require.ErrorContains(t, err, "there is none")
}

var someMarks = map[string]string{".": "。", " ": "", "; ": "；", ", ": "，", " and ": " 和 ", " or ": " 或 "}

// TestFaultyPhrasesAreRefused: what a translator can get wrong is told when the book is opened, and so by the tests.
func TestFaultyPhrasesAreRefused(t *testing.T) {
	for _, c := range []struct{ english, translation, fault string }{
		{"no app %q: use %s", "没有应用 {1}", "lacks {2}"},
		{"no app %q", "没有应用 {1}{2}", "has {2}"},
		{"no app {name}", "没有应用 {nane}", "has {nane}"},
		{"no app", " ", "no translation"},
		{"%s%s at", "{1}{2}", "side by side"},
	} {
		_, err := newBook(map[string]string{c.english: c.translation}, someMarks)
		require.ErrorContains(t, err, c.fault)
	}
}

// TestPhrasesAreTranslated looks at the punctuation and the words of each.
func TestPhrasesAreTranslated(t *testing.T) {
	inFiles := byFile(t, "zh-CN")
	delete(inFiles, marks)
	for _, phrases := range inFiles {
		for _, english := range slices.Sorted(maps.Keys(phrases)) {
			chinese := phrases[english]
			require.NotRegexp(t, `\p{Han}[,;:?!]|[,;?!]\p{Han}`, chinese, "%s: full-width punctuation stands beside Chinese", english)
			require.Equal(t, strings.HasSuffix(english, "."), strings.HasSuffix(chinese, "。"), "%s: a sentence ends where the English one does: %s", english, chinese)
			require.NotRegexp(t, `\pL{3,} [a-z]{3,} [a-z]{3,} [a-z]{3,}`, command.ReplaceAllString(chinese, ""), "%s: four English words", english)
		}
	}
}

// command finds what is typed as it is: within marks of code or of speech, or begun by the name of a program.
var command = regexp.MustCompile("`[^`]*`|“[^”]*”|imca [a-z]+ [a-z]+ |(?:mkdir|printf) [^\\p{Han}]*")
