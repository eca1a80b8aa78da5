// Package rooms holds the table of rooms (docs/architecture.md): which packages must not
// reach what, directly or through others.
package rooms

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/creditstream/creditstream"

// root is the module's folder, from this one.
const root = "../.."

// room is a folder and the packages under it, without those under a longer name in the
// table.
type room struct {
	folder string
	not    []string // folders of this module, and names of libraries, that it must not reach
}

// libraries are those that some rooms must not reach, by the table's name for them.
var libraries = map[string][]string{
	"Kafka": {"github.com/twmb/franz-go", "github.com/segmentio/kafka-go"},
	"Redis": {"github.com/redis/go-redis"},
	"HTTP":  {"net/http"},
	"flags": {"github.com/alecthomas/kong", "golang.org/x/term"},
}

// aside are packages that speak HTTP for what is no room's business: expvar's page, and
// the token of a login to Kafka. HTTP is not looked for in what they import.
var aside = []string{"github.com/prometheus", module + "/internal/kafka"}

var (
	entrance   = []string{"internal/cli", "internal/app", "internal/demo"}
	components = []string{"scorer", "consumer", "api", "producer", "replica", "audit", "drift"}
	domain     = slices.Concat([]string{"schemas", "policy", "model"}, components)
	services   = []string{"Kafka", "Redis", "HTTP"}
)

// rooms is the table.
var rooms = []room{
	{"schemas", not("policy", "model", "internal", components, services)},
	{"policy", not("model", "internal", components, services)},
	{"model", not("internal/kafka", components, services)},
	{"model/forest", not("internal", domain, services)},
	{"model/onnx", not("internal", domain, services)},
	{"model/shipped", not("internal", domain, services)},
	{"model/release", not(components, "Redis", "HTTP")},
	{"scorer", not(without(components, "scorer"), services)},
	{"scorer/stream", not(without(components, "scorer"), "Redis", "HTTP")},
	{"consumer", not("model", without(components, "consumer"), "HTTP")},
	{"audit", not("consumer", "api", "producer", "replica", services)},
	{"drift", not(without(components, "drift"), services)},
	{"drift/aggregate", not(without(components, "drift"), "Redis", "HTTP")},
	{"drift/drifttest", not(without(components, "drift"), "Kafka", "Redis")},
	{"drift/evaluate", not(without(components, "drift"), "Redis", "HTTP")},
	{"drift/latest", not(without(components, "drift"), "Redis", "HTTP")},
	{"drift/stretch", not(without(components, "drift"), "Redis", "HTTP")},
	{"drift/webhook", not("model", without(components, "drift"), "Kafka", "Redis")},
	{"api", not("consumer", "producer", "audit", "model/release", "internal/idempotency", "Kafka", "Redis")},
	{"producer", not("model", without(components, "producer"), "Redis", "HTTP")},
	{"replica", not("model", "internal", without(components, "replica"), services)},
	{"replica/reports", not("model", without(components, "replica"), "Redis", "HTTP")},
	{"internal", not(domain)},
	{"internal/cli", nil},
	{"internal/app", []string{"internal/cli", "internal/demo", "flags"}},
	{"internal/demo", []string{"internal/cli", "flags"}},
	{"bench", not()},
	{"examples", not(domain, "internal")},
	{"apptest", not(domain)},
}

// not lists what a room must not reach: what is given, the entrance, and flags.
func not(what ...any) []string {
	all := append(slices.Clone(entrance), "flags")
	for _, one := range what {
		switch one := one.(type) {
		case string:
			all = append(all, one)
		case []string:
			all = append(all, one...)
		}
	}
	return all
}

func without(all []string, left ...string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(one string) bool { return slices.Contains(left, one) })
}

// is says whether a package is of a library, or in a folder of this module.
func is(pkg, what string) bool {
	if paths, ok := libraries[what]; ok {
		return slices.ContainsFunc(paths, func(path string) bool { return below(pkg, path) })
	}
	return below(pkg, module+"/"+what)
}

// below says whether a package is a folder's, or one under it.
func below(pkg, folder string) bool {
	return pkg == folder || strings.HasPrefix(pkg, folder+"/")
}

// folder is a package's, from the module's root.
func folder(pkg string) string { return strings.TrimPrefix(strings.TrimPrefix(pkg, module), "/") }

// roomOf is the room that a folder is in.
func roomOf(folder string) (found *room) {
	for i := range rooms {
		if r := &rooms[i]; below(folder, r.folder) && (found == nil || len(r.folder) > len(found.folder)) {
			found = r
		}
	}
	return found
}

// imports are what every package imports, of this module and of all it needs: the product
// without its tests, and apptest, which is nothing but tests, with them.
func imports(t *testing.T) map[string][]string {
	graph := map[string][]string{}
	read := func(args ...string) {
		args = append([]string{"list", "-deps", "-f", `{{with .ForTest}}{{.}}{{else}}{{.ImportPath}}{{end}} {{join .Imports " "}}`}, args...)
		list := exec.CommandContext(t.Context(), "go", args...)
		list.Dir, list.Stderr = root, os.Stderr
		out, err := list.Output()
		require.NoError(t, err)
		for line := range strings.Lines(string(out)) {
			words := strings.Fields(line)
			graph[words[0]] = append(graph[words[0]], words[1:]...)
		}
	}
	read("./...")
	read("-test", "-tags", tags(t), "./apptest/...")
	return graph
}

// tags are the build tags that some files are behind.
func tags(t *testing.T) string {
	text, err := os.ReadFile(filepath.Join(root, ".golangci.yml"))
	require.NoError(t, err)
	found := regexp.MustCompile(`(?m)^  build-tags: \[(.+)\]$`).FindSubmatch(text)
	require.NotNil(t, found)
	return strings.ReplaceAll(string(found[1]), " ", "")
}

// way is how a package of the room reaches a library or folder, itself first; nil where it
// does not.
func (r *room) way(graph map[string][]string, from, what string) []string {
	came := map[string]string{from: ""}
	for next := []string{from}; len(next) > 0; next = next[1:] {
		pkg := next[0]
		if is(pkg, what) && !below(folder(pkg), r.folder) {
			var path []string
			for ; pkg != ""; pkg = came[pkg] {
				path = append(path, pkg)
			}
			slices.Reverse(path)
			return path
		}
		if what == "HTTP" && slices.ContainsFunc(aside, func(path string) bool { return below(pkg, path) }) {
			continue
		}
		for _, one := range graph[pkg] {
			if _, seen := came[one]; !seen {
				came[one] = pkg
				next = append(next, one)
			}
		}
	}
	return nil
}

func TestRooms_ReachOnlyWhatTheyMay(t *testing.T) {
	graph := imports(t)
	require.Contains(t, graph[module+"/apptest"], module+"/internal/loopback", "its tests are looked at")
	for pkg := range graph {
		if !below(pkg, module) || pkg == module || strings.HasSuffix(pkg, ".test") {
			continue
		}
		name := folder(pkg)
		// Whoever remembers a test's result looks at the files that it has seen, not at
		// those that go list has.
		for _, dir := range []string{name, filepath.Dir(name)} {
			_, err := os.ReadDir(filepath.Join(root, dir))
			require.NoError(t, err)
		}
		r := roomOf(name)
		require.NotNil(t, r, "%s is in no room: give it a row in the table of rooms", name)
		for _, forbidden := range r.not {
			require.Empty(t, r.way(graph, pkg, forbidden), "%s must not reach %s", name, forbidden)
		}
	}
}

// A row of the table that the page lacks, or the other way round, is a wall that only one
// of them has.
func TestRooms_AreThoseOfThePage(t *testing.T) {
	graph := imports(t)
	text, err := os.ReadFile(filepath.Join(root, "docs/architecture.md"))
	require.NoError(t, err)
	_, text, found := bytes.Cut(text, []byte("| must not reach |\n|---|---|---|\n"))
	require.True(t, found)
	table, _, found := bytes.Cut(text, []byte("\n\n"))
	require.True(t, found)
	row, name := regexp.MustCompile(`^\| ([^|]+) \|`), regexp.MustCompile("`([^`]+)`")
	named := map[string]bool{} // the folders in the first cells
	for line := range bytes.Lines(table) {
		cell := row.FindSubmatch(line)
		require.NotNil(t, cell, "%s", line)
		for _, m := range name.FindAllSubmatch(cell[1], -1) {
			named[strings.TrimSuffix(string(m[1]), "/")] = true
		}
	}
	for _, r := range rooms {
		require.True(t, named[r.folder], "docs/architecture.md has no row for %s", r.folder)
	}
	for folder := range named {
		_, err := os.Stat(filepath.Join(root, folder))
		require.NoError(t, err, "docs/architecture.md has a row for what is not there")
		for pkg := range graph {
			if below(pkg, module+"/"+folder) {
				require.NotNil(t, roomOf(folder), "docs/architecture.md has a row for %s, the table of rooms none", folder)
			}
		}
	}
	// Where a row lists the packages of a room, it lists all of them.
	for _, listed := range []string{"consumer", "audit", "drift"} {
		for pkg := range graph {
			if one := folder(pkg); below(one, listed) && pkg != module+"/"+listed {
				named := regexp.MustCompile("`" + one + "/?`").Match(table)
				require.True(t, named, "docs/architecture.md does not say what %s is", one)
			}
		}
	}
}
