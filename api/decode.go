package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/web"
)

// decode reads one JSON object into a struct of texts, lists of texts, whole numbers, objects of these and truth values. It is stricter than encoding/json
// and says where: fields are spelled exactly, none is unknown or given twice or null, texts are UTF-8 without NUL and within their bounds, and nothing
// follows the object.
func decode(data []byte, into any) error {
	if !utf8.Valid(data) {
		return web.Refuse(ca.KindMalformed, "The body is not UTF-8: JSON is (RFC 8259, Section 8.1), so save or encode it so.")
	}
	members, err := readObject(data)
	if err != nil {
		return err
	}
	target := reflect.ValueOf(into).Elem()
	fields := fieldsOf(target.Type())
	var faults faults
	for _, m := range members {
		i, known := fields[m.name]
		switch {
		case !known:
			faults.add(ca.KindMalformed, m.pointer(), "There is no field %q: use some of %s.", clip(m.name), names(fields))
		case m.repeated:
			faults.add(ca.KindMalformed, m.pointer(), "The field is there twice: leave one out.")
		default:
			faults.bind(m.pointer(), m.value, target.Field(i), target.Type().Field(i).Tag)
		}
	}
	return faults.err()
}

type member struct {
	name     string
	value    json.RawMessage
	repeated bool
}

// pointer is the member's place in the document (RFC 6901, Section 3).
func (m member) pointer() string {
	return "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(clip(m.name))
}

// readObject takes an object apart.
func readObject(data []byte) ([]member, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	malformed := func(err error) error {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return web.Refuse(ca.KindMalformed, "The JSON ends too early: close every brace, bracket and quote.")
		}
		return web.Refuse(ca.KindMalformed, "The body is not JSON near byte %d (%v): compare it with the examples in /docs.", d.InputOffset(), err)
	}
	start, err := d.Token()
	if err != nil {
		return nil, malformed(err)
	}
	if start != json.Delim('{') {
		return nil, web.Refuse(ca.KindMalformed, "The body must be a JSON object: {…}.")
	}
	var members []member
	seen := make(map[string]bool)
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, malformed(err)
		}
		m := member{name: name.(string), repeated: seen[name.(string)]} // before a value, Token gives nothing else
		seen[m.name] = true
		if err := d.Decode(&m.value); err != nil {
			return nil, malformed(err)
		}
		members = append(members, m)
	}
	if _, err := d.Token(); err != nil {
		return nil, malformed(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, web.Refuse(ca.KindMalformed, "Something follows the JSON object: send the object alone.")
	}
	return members, nil
}

// fieldsOf gives the index of each field that has a name in JSON.
func fieldsOf(t reflect.Type) map[string]int {
	fields := make(map[string]int)
	for i := range t.NumField() {
		if name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ","); name != "-" {
			fields[name] = i
		}
	}
	return fields
}

func names(fields map[string]int) string {
	var list []string
	for name := range fields {
		list = append(list, name)
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

// faults collects what is wrong with the fields of a request, so that all of it is told at once.
type faults struct {
	kind ca.Kind
	list []ca.Fault
}

// mostFaults bounds the answer to a request that is wrong everywhere.
const mostFaults = 20

func (f *faults) add(kind ca.Kind, field, format string, args ...any) {
	if f.kind != ca.KindMalformed {
		f.kind = kind
	}
	if len(f.list) < mostFaults {
		f.list = append(f.list, ca.Fault{Field: field, Detail: fmt.Sprintf(format, args...)})
	}
}

func (f *faults) err() error {
	if len(f.list) == 0 {
		return nil
	}
	return &ca.Error{Kind: f.kind, Detail: f.list[0].Detail, Field: f.list[0].Field, Faults: f.list}
}

// bind reads a JSON value into a field.
func (f *faults) bind(pointer string, value json.RawMessage, field reflect.Value, tag reflect.StructTag) {
	if string(value) == "null" {
		f.add(ca.KindMalformed, pointer, "null says nothing: leave the field out.")
		return
	}
	if field.Kind() == reflect.Pointer {
		field.Set(reflect.New(field.Type().Elem()))
		field = field.Elem()
	}
	switch target := field.Addr().Interface().(type) {
	case *string:
		f.text(pointer, value, target, tag)
	case *[]string:
		f.texts(pointer, value, target, tag)
	case *int:
		if json.Unmarshal(value, target) != nil {
			f.add(ca.KindMalformed, pointer, "Expected a whole number, without quotes and fraction, such as 90.")
		}
	case *map[string]int:
		f.numbers(pointer, value, target, tag)
	case *bool:
		if json.Unmarshal(value, target) != nil {
			f.add(ca.KindMalformed, pointer, "Expected true or false, without quotes.")
		}
	default:
		panic(fmt.Sprintf("decoding %s: no rule for %s", pointer, field.Type()))
	}
}

func (f *faults) text(pointer string, value json.RawMessage, into *string, tag reflect.StructTag) {
	if json.Unmarshal(value, into) != nil {
		f.add(ca.KindMalformed, pointer, "Expected a text in quotes.")
		return
	}
	if strings.ContainsRune(*into, 0) {
		f.add(ca.KindMalformed, pointer, "The text has a NUL character: take it out.")
	}
	if most := bound(tag, "max"); utf8.RuneCountInString(*into) > most {
		f.add(ca.KindInvalid, pointer, "The text has more than %d characters: shorten it.", most)
	}
}

func (f *faults) texts(pointer string, value json.RawMessage, into *[]string, tag reflect.StructTag) {
	var items []json.RawMessage
	if json.Unmarshal(value, &items) != nil {
		f.add(ca.KindMalformed, pointer, "Expected a list of texts, such as [\"a\", \"b\"].")
		return
	}
	if most := bound(tag, "most"); len(items) > most {
		f.add(ca.KindInvalid, pointer, "The list has %d items: give at most %d.", len(items), most)
		return
	}
	*into = make([]string, len(items))
	for i, item := range items {
		place := pointer + "/" + strconv.Itoa(i)
		if string(item) == "null" {
			f.add(ca.KindMalformed, place, "Expected a text in quotes.")
			continue
		}
		f.text(place, item, &(*into)[i], tag)
	}
}

func (f *faults) numbers(pointer string, value json.RawMessage, into *map[string]int, tag reflect.StructTag) {
	members, err := readObject(value)
	if err != nil {
		f.add(ca.KindMalformed, pointer, "Expected an object of whole numbers, such as {\"certificates_per_week\": 5000}.")
		return
	}
	if most := bound(tag, "most"); len(members) > most {
		f.add(ca.KindInvalid, pointer, "The object has %d fields: give at most %d.", len(members), most)
		return
	}
	*into = make(map[string]int)
	for _, m := range members {
		var n int
		switch place := pointer + m.pointer(); {
		case m.repeated:
			f.add(ca.KindMalformed, place, "The field is there twice: leave one out.")
		case string(m.value) == "null" || json.Unmarshal(m.value, &n) != nil:
			f.add(ca.KindMalformed, place, "Expected a whole number, without quotes and fraction, such as 90.")
		default:
			(*into)[m.name] = n
		}
	}
}

// bound is the number in a tag of a wire type; every text and list has one, which a test sees to.
func bound(tag reflect.StructTag, key string) int {
	n, err := strconv.Atoi(tag.Get(key))
	if err != nil {
		panic(fmt.Sprintf("a field has no bound %q: %s", key, tag))
	}
	return n
}

// clip shortens what a stranger typed to what is worth repeating.
func clip(s string) string {
	const most = 100
	runes := []rune(s)
	if len(runes) <= most {
		return s
	}
	return string(runes[:most]) + "…"
}
