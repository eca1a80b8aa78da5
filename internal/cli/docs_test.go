package cli

import (
	"bytes"
	"io"
	"io/fs"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/local"
	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/model/release"
	"github.com/creditstream/creditstream/model/shipped"
	"github.com/creditstream/creditstream/schemas"
)

// documented is a command of a code block in the documentation.
type documented struct {
	at    string // file: the line as it stands there
	words []string
}

var (
	fence = regexp.MustCompile("(?ms)^```[a-z]*\n(.*?)^```")
	// A command begins a line, maybe behind a prompt, or what follows && or a quote.
	begins = regexp.MustCompile(`(?:^\s*(?:\$ )?|&& |')(?:bin/)?creditstream ([a-z].*)$`)
)

// repository is the whole of it, from the folder that tests run in.
var repository = os.DirFS("../..")

// documentedCommands are all of them, in the order of the pages.
func documentedCommands(t *testing.T) (all []documented) {
	t.Helper()
	var pages []string
	for _, pattern := range []string{"README.md", "docs/*.md", "docs/decisions/*.md", "examples/*.md"} {
		found, err := fs.Glob(repository, pattern)
		require.NoError(t, err)
		pages = append(pages, found...)
	}
	for _, page := range pages {
		text, err := fs.ReadFile(repository, page)
		require.NoError(t, err)
		for _, block := range fence.FindAllSubmatch(text, -1) {
			joined := strings.ReplaceAll(string(block[1]), "\\\n", " ")
			for line := range strings.Lines(joined) {
				if m := begins.FindStringSubmatch(strings.TrimRight(line, "\n")); m != nil && !strings.HasPrefix(m[1], "demo: ") {
					all = append(all, documented{page + ": " + strings.TrimSpace(line), shellWords(m[1])})
				}
			}
		}
	}
	return all
}

// shellWords are the words of a command up to what is not its own: a comment, a pipe,
// a redirection, another command, the end of the quote that it stands in.
func shellWords(text string) (words []string) {
	var word strings.Builder
	open := false // a word has begun
	quote := rune(0)
	end := func() {
		if open {
			words = append(words, word.String())
		}
		word.Reset()
		open = false
	}
	for _, r := range text {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '"':
			quote, open = r, true
		case strings.ContainsRune("|>;&'", r), r == '#' && !open:
			end()
			return words
		case r == ' ' || r == '\t':
			end()
		default:
			word.WriteRune(r)
			open = true
		}
	}
	end()
	return words
}

// placeholder is a word that a reader puts something else for, alone or before "=".
var placeholder = regexp.MustCompile(`^[A-Z]{2,}(?:[:/][A-Z]+)*(?:=.*)?$`)

// placeholders are what is put in their place; a deployment has some of its own.
var placeholders = map[string]string{
	"HOST:PORT": "127.0.0.1:1", "FILE": "new.bundle", "NEW": "v1", "REVISION": "0", "PARTITION/OFFSET": "3/918",
}

// filled are the words of a command with what is put in the place of its placeholders.
func filled(t *testing.T, at string, words []string, placeholders map[string]string) []string {
	t.Helper()
	args := slices.Clone(words)
	for i, word := range args {
		if placeholder.MatchString(word) {
			name, _, _ := strings.Cut(word, "=")
			value, known := placeholders[name]
			require.True(t, known, "%s: nothing is known to put in the place of %s", at, word)
			args[i] = value + strings.TrimPrefix(word, name)
		}
	}
	return args
}

// Every command that the documentation shows is one: its flags exist, and none that it
// needs is left out.
func TestDocs_CommandsAreWhatTheBinaryTakes(t *testing.T) {
	all := documentedCommands(t)
	require.Greater(t, len(all), 40, "the blocks are found")
	for _, c := range all {
		requireParses(t, c.at, c.words)
	}
}

func requireParses(t *testing.T, at string, words []string) {
	t.Helper()
	parser, err := newParser(&grammar{}, newSettings(), io.Discard, io.Discard, func(int) {})
	require.NoError(t, err)
	_, err = parser.Parse(filled(t, at, words, placeholders))
	require.NoError(t, err, at)
}

// Likewise every command that --help gives as an example.
func TestDocs_ExamplesOfHelpAreWhatTheBinaryTakes(t *testing.T) {
	parser, err := newParser(&grammar{}, newSettings(), io.Discard, io.Discard, func(int) {})
	require.NoError(t, err)
	found := 0
	require.NoError(t, kong.Visit(parser.Model, func(node kong.Visitable, next kong.Next) error {
		if n, ok := node.(*kong.Node); ok {
			for line := range strings.Lines(n.Detail) {
				if m := begins.FindStringSubmatch(strings.TrimRight(line, "\n")); m != nil {
					found++
					requireParses(t, line, shellWords(m[1]))
				}
			}
		}
		return next(nil)
	}))
	require.Greater(t, found, 10, "the examples are found")
}

// What fails on an empty deployment, with 1, and why. Everything else ends with 0.
var failing = map[string]string{
	"explain":          "no such decision",
	"dlq replay 3/918": "no such letter",
	"model judge":      "the route has no candidate",
	"model compare":    "no such file",
	"verify":           "no group has committed",
	"drift report":     "nothing to report on",
	"model route --champion 2026-12-01.1 --policy strict.yaml": "no such file",
}

// failingAs is the entry of failing that a command of the documentation is of, "" where
// none is.
func failingAs(words []string) string {
	for begins := range failing {
		if strings.HasPrefix(strings.Join(words, " ")+" ", begins+" ") {
			return begins
		}
	}
	return ""
}

// What else the blocks run is there: targets of make, commands of the training, paths of
// the API.
func TestDocs_NameTargetsAndPathsThatExist(t *testing.T) {
	read := func(name string) string {
		text, err := fs.ReadFile(repository, name)
		require.NoError(t, err)
		return string(text)
	}
	makefile, routes := read("Makefile"), read("api/routes.go")+read("api/docs.go")+read("api/page.go")
	python := read("retrain/credit_retrain/__main__.py")
	target := regexp.MustCompile(`(?m)(?:^(?:\$ )?|&& |` + "`" + `)make ((?:[a-z][a-z-]*(?: |$|` + "`" + `))+)`)
	retrain := regexp.MustCompile(`(?:credit-retrain|python -m credit_retrain) ([a-z][a-z-]*)`)
	asked := regexp.MustCompile(`https?://(?:127\.0\.0\.1|localhost):8000(/[a-z][a-z/.]*)?`)
	targets, trainings, paths := 0, 0, 0
	for _, pattern := range []string{"README.md", "docs/*.md", "docs/decisions/*.md", "examples/*.md", "CONTRIBUTING.md"} {
		pages, err := fs.Glob(repository, pattern)
		require.NoError(t, err)
		for _, page := range pages {
			text := read(page)
			for _, m := range target.FindAllStringSubmatch(text, -1) {
				for _, name := range strings.Fields(strings.ReplaceAll(m[1], "`", "")) {
					targets++
					require.Regexp(t, "(?m)^(?:[a-z-]+ )*"+name+"(?: [a-z-]+)*:", makefile, "%s: make %s", page, name)
				}
			}
			for _, m := range retrain.FindAllStringSubmatch(text, -1) {
				trainings++
				require.Regexp(t, `\s\w+\.`+strings.ReplaceAll(m[1], "-", "_")+`,`, python, "%s: %s", page, m[0])
			}
			for _, m := range asked.FindAllStringSubmatch(text, -1) {
				if path := strings.TrimRight(m[1], "/."); path != "" {
					paths++
					require.Contains(t, routes, `"`+path, page)
				}
			}
		}
	}
	require.Greater(t, targets, 10)
	require.Greater(t, trainings, 5)
	require.Greater(t, paths, 3)
}

// walked is the deployment that documented commands run on.
type walked struct {
	t      *testing.T
	broker string
	bundle string // a file
	new    string // its version
}

// filled are the words of a command with what stands there in place of its placeholders.
func (w walked) filled(c documented) []string {
	here := maps.Clone(placeholders)
	here["HOST:PORT"], here["FILE"], here["NEW"] = w.broker, w.bundle, w.new
	if slices.Contains(c.words, "REVISION") {
		here["REVISION"] = w.revision()
	}
	return filled(w.t, c.at, c.words, here)
}

// revision is the one in force.
func (w walked) revision() string {
	h, err := release.ReadAll(w.t.Context(), kafka.Config{Brokers: []string{w.broker}, Prefix: "credit"}, schemas.NewTopics("credit"))
	require.NoError(w.t, err)
	require.NotNil(w.t, h.Current())
	return strconv.FormatInt(h.Current().Number, 10)
}

// The blocks that need no more than a cluster run as they stand, with what is there in
// the place of their placeholders, one page after the other: services, and waiting for
// what replicas do, are other tests' affair.
func TestDocs_BlocksRunAsTheyStand(t *testing.T) {
	broker, err := local.StartKafka("")
	require.NoError(t, err)
	defer broker.Close()
	redis, err := local.StartRedis()
	require.NoError(t, err)
	defer redis.Close()
	t.Setenv("CREDITSTREAM_BROKERS", broker.Addr())
	t.Setenv("CREDITSTREAM_REDIS", redis.Addr())
	commands := documentedCommands(t)
	t.Chdir(t.TempDir())
	require.NoError(t, os.MkdirAll("data/raw", 0o700))
	require.NoError(t, os.MkdirAll("data/processed", 0o700))
	shippedModel, err := model.Parse(shipped.Bundle, model.EngineNative)
	require.NoError(t, err)
	w := walked{t, broker.Addr(), "new.bundle", shippedModel.Version}
	require.NoError(t, os.WriteFile(w.bundle, shipped.Bundle, 0o600))
	services := []string{"score", "view", "api", "drift", "demo", "tail"}
	// The walk makes the deployment that every other page looks at.
	walk := slices.DeleteFunc(slices.Clone(commands), func(c documented) bool { return !strings.HasPrefix(c.at, "docs/getting-started.md") })
	others := slices.DeleteFunc(commands, func(c documented) bool { return strings.HasPrefix(c.at, "docs/getting-started.md") })
	ran, filled := 0, 0
	left, failed := map[string]bool{}, map[string]bool{} // which services, and which of failing, are there
	for _, c := range append(walk, others...) {
		name, _, _ := strings.Cut(strings.Join(c.words, " ")+" ", " -")
		name = strings.TrimSpace(name)
		if slices.Contains(services, name) {
			left[name] = true
			continue
		}
		args := w.filled(c)
		if !slices.Equal(args, c.words) {
			filled++
		}
		if i := slices.Index(args, "--wait"); i >= 0 { // no replica is there to wait for
			behind := i + 1
			if behind < len(args) && !strings.HasPrefix(args[behind], "-") {
				behind++ // how long
			}
			args = slices.Delete(args, i, behind)
		}
		if args[0] == "produce" {
			args = append(args, "--count", "200", "--rate", "0")
		}
		if strings.HasPrefix(strings.Join(args, " "), "dlq replay") && !slices.Contains(args, "--dry-run") {
			args = append(args, "--yes") // nobody sits at the terminal
		}
		var out, errs bytes.Buffer
		code := Run(t.Context(), args, strings.NewReader(""), &out, &errs)
		ran++
		require.NotContains(t, errs.String(), "goroutine ", c.at)
		want := 0
		if as := failingAs(c.words); as != "" {
			failed[as], want = true, exitFailed
		}
		require.Equal(t, want, code, "%s\n%s", c.at, errs.String())
	}
	require.Greater(t, ran, 25)
	require.Greater(t, filled, 5)
	for begins := range failing {
		require.True(t, failed[begins], "no block of the documentation is %s, which is expected to fail", begins)
	}
	for _, service := range services {
		require.True(t, left[service], "no block of the documentation is the service %s", service)
	}
}
