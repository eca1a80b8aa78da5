package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/creditstream/creditstream/schemas"
)

// What other languages read must say what the Go rules say.
func TestGeneratedFilesAreCurrent(t *testing.T) {
	files, err := Files()
	require.NoError(t, err)
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join("..", filepath.FromSlash(name)))
		require.NoError(t, err, "run: make generate")
		require.Equal(t, string(want), string(got), "%s is stale; run: make generate", name)
	}
	for _, dir := range []string{"jsonschema", "avro"} {
		require.NoError(t, filepath.WalkDir(filepath.Join("..", dir), func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				require.Contains(t, files, strings.TrimPrefix(filepath.ToSlash(path), "../"), "nothing generates it any more")
			}
			return err
		}))
	}
}

// What no other team reads is not in AsyncAPI; everything else in the catalogue is.
func TestEveryTopicOfTheContractHasAChannel(t *testing.T) {
	text, err := asyncAPI()
	require.NoError(t, err)
	var doc struct {
		Channels   map[string]struct{ Address string }
		Components struct {
			Messages map[string]struct {
				ContentType string `yaml:"contentType"`
				Payload     struct {
					Description string
					Schema      map[string]string
				}
			}
		}
	}
	require.NoError(t, yaml.Unmarshal(text, &doc))
	files, err := Files()
	require.NoError(t, err)
	described := map[string]bool{}
	for id, channel := range doc.Channels {
		described[channel.Address] = true
		message := doc.Components.Messages[id]
		require.NotEmpty(t, message.ContentType, id)
		if path := message.Payload.Schema["$ref"]; path != "" {
			require.Contains(t, files, path, id)
		} else {
			require.NotEmpty(t, message.Payload.Description, id)
		}
	}
	names := schemas.NewTopics("credit")
	internal := map[string]bool{names.DriftPanes: true, names.DriftStatus: true}
	for _, topic := range schemas.Catalogue("credit") {
		require.NotEqual(t, internal[topic.Name], described[topic.Name], topic.Name)
	}
	for name := range files {
		if strings.HasPrefix(name, "jsonschema/") {
			require.Contains(t, string(text), "$ref: "+name, "no channel carries it")
		}
	}
}
