// Command creditstream scores credit applications from Kafka exactly once, with
// reasons, and answers the same over HTTP.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
)

// cli is the command line: one struct per command, each in its own file.
type cli struct {
	Config    string `help:"YAML file of settings; keys are flag names, under a command's name to set them for it alone." type:"path" placeholder:"FILE"`
	LogLevel  string `help:"Least severe log level shown: ${enum}." enum:"debug,info,warn,error" default:"info"`
	LogFormat string `help:"Log format: ${enum}." enum:"text,json" default:"text"`

	Demo    demoCmd    `cmd:"" help:"Everything in one place, nothing to install: applications decided before your eyes."`
	Model   modelCmd   `cmd:"" help:"Bundles and routes: look, verify, score a file, release, route, roll back."`
	API     apiCmd     `cmd:"" name:"api" help:"Answer over HTTP: decisions, look-ups, a page and documentation."`
	Produce produceCmd `cmd:"" help:"Emit applications and their outcomes: a CSV file replayed, or a synthetic population."`
	Score   scoreCmd   `cmd:"" help:"Score applications exactly once: predictions, dead letters and offsets in one transaction."`
	Topics  topicsCmd  `cmd:"" help:"The topics, as the catalogue says."`
	InForce configCmd  `cmd:"" name:"config" help:"What is in force and where it came from."`
	View    viewCmd    `cmd:"" help:"Keep the Redis view of predictions: the last one of every application."`
	Tail    tailCmd    `cmd:"" help:"Show predictions as they come, or those of one application."`
	Erase   eraseCmd   `cmd:"" help:"Remove an application from the Redis view."`
	Verify  verifyCmd  `cmd:"" help:"Judge a run: nothing lost, nothing duplicated, nothing altered."`
	DLQ     dlqCmd     `cmd:"" name:"dlq" help:"Records that could not be scored: look at them, replay them."`
	Health  healthCmd  `cmd:"" help:"Ask a running component whether it can do its work; for health checks."`
	Version versionCmd `cmd:"" help:"Print the version."`
}

// process is what a command runs in.
type process struct {
	ctx    context.Context // ends with SIGINT or SIGTERM
	began  time.Time       // when the program started
	log    *slog.Logger    // to stderr
	stdin  io.Reader
	stdout io.Writer // results only; progress and logs go to stderr
	stderr io.Writer
}

// with is the process in another context.
func (p *process) with(ctx context.Context) *process {
	q := *p
	q.ctx = ctx
	return &q
}

// exitCode is an error that has already been explained and only sets the exit code.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the whole program but for the process's own signals and exit: 0 done,
// 1 failed, 2 wrong usage, or the code a command asked for.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var (
		root   cli
		exited = -1
		began  = time.Now()
	)
	settings := newSettings()
	parser, err := kong.New(&root, parserOptions(settings, stdout, stderr, func(code int) { exited = code })...)
	if err != nil {
		fmt.Fprintln(stderr, "creditstream:", err)
		return 1
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	if err := settings.load(args); err != nil {
		fmt.Fprintln(stderr, "creditstream:", err)
		return 2
	}
	kctx, err := parser.Parse(args)
	if exited >= 0 { // --help
		return exited
	}
	if err == nil {
		err = settings.check(kctx)
	}
	if err != nil {
		fmt.Fprintln(stderr, "creditstream:", err)
		var parse *kong.ParseError
		if errors.As(err, &parse) && parse.Context != nil {
			fmt.Fprintf(stderr, "Try: creditstream %s--help\n", commandPath(parse.Context))
		}
		return 2
	}
	p := &process{
		ctx: ctx, began: began, log: newLogger(stderr, root.LogLevel, root.LogFormat),
		stdin: stdin, stdout: stdout, stderr: stderr,
	}
	if err := kctx.Run(p, settings, parser); err != nil {
		var code exitCode
		if errors.As(err, &code) {
			return int(code)
		}
		fmt.Fprintln(stderr, "creditstream:", err)
		return 1
	}
	return 0
}

func parserOptions(s *settings, stdout, stderr io.Writer, exit func(int)) []kong.Option {
	return []kong.Option{
		kong.Name("creditstream"),
		kong.Description("Scores credit applications from Kafka exactly once, with reasons, and answers the same over HTTP.\n\nEvery flag can also be set by the environment (CREDITSTREAM_BROKERS for --brokers) or in a YAML file (--config); a flag wins over the environment, the environment over the file."),
		kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true, WrapUpperBound: 100}),
		kong.Writers(stdout, stderr),
		kong.Exit(exit),
		kong.DefaultEnvars("CREDITSTREAM"),
		kong.Resolvers(s),
	}
}

func commandPath(c *kong.Context) string {
	if cmd := c.Command(); cmd != "" {
		return strings.Fields(cmd + " ")[0] + " "
	}
	return ""
}

func newLogger(w io.Writer, level, format string) *slog.Logger {
	var l slog.Level
	_ = l.UnmarshalText([]byte(level)) // the flag's enum lets only valid levels through
	opts := &slog.HandlerOptions{Level: l}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

type versionCmd struct{}

// Run prints the version the binary was built from.
func (versionCmd) Run(p *process) error {
	_, err := fmt.Fprintln(p.stdout, "creditstream", version())
	return err
}

// version is the module version or the commit the binary was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value[:min(12, len(s.Value))]
		}
	}
	return "devel"
}
