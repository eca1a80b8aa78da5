// Command generate writes the contract's descriptions for other languages from
// the Go rules: JSON Schema, Avro and AsyncAPI. Run it in schemas/ or by
// `go generate ./schemas`.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	dir := "."
	if len(os.Args) > 1 {
		dir = os.Args[1]
	}
	files, err := Files()
	if err == nil {
		err = write(dir, files)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

// trainedBy names the schemas that training reads; its package carries them.
var trainedBy = []string{"application", "outcome", "prediction"}

// Files are the generated files: path relative to schemas/ to content.
func Files() (map[string][]byte, error) {
	files := map[string][]byte{}
	for name, doc := range jsonSchemas() {
		text, err := indent(doc)
		if err != nil {
			return nil, err
		}
		files["jsonschema/"+name+".json"] = text
	}
	for _, name := range trainedBy {
		files["../retrain/credit_retrain/schemas/"+name+".json"] = files["jsonschema/"+name+".json"]
	}
	for name, doc := range avroSchemas() {
		text, err := indent(doc)
		if err != nil {
			return nil, err
		}
		files["avro/"+name+".avsc"] = text
	}
	text, err := asyncAPI()
	if err != nil {
		return nil, err
	}
	files["asyncapi.yaml"] = text
	return files, nil
}

func write(dir string, files map[string][]byte) error {
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func indent(doc any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(doc)
	return b.Bytes(), err
}

// object is a JSON object that keeps the order its members were written in.
type object []member

type member struct {
	key   string
	value any
}

// MarshalJSON writes the members in order.
func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		key, err := json.Marshal(m.key)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(m.value)
		if err != nil {
			return nil, err
		}
		b.Write(key)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}
