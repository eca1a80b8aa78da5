// Package cli is the command line: what each command is told, what it calls, and
// what it prints.
package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"regexp"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"golang.org/x/term"

	"github.com/creditstream/creditstream/internal/cli/flags"
	"github.com/creditstream/creditstream/internal/repeats"
)

// grammar holds one struct per command, each in its own file.
type grammar struct {
	Config    string `help:"YAML file of settings; keys are flag names, under a command's name to set them for it alone." type:"path" placeholder:"FILE"`
	LogLevel  string `help:"Least severe log level shown: ${enum}." enum:"debug,info,warn,error" default:"info"`
	LogFormat string `help:"Log format: ${enum}." enum:"text,json" default:"text"`

	Demo    demoCmd     `cmd:"" help:"Everything in one place, nothing to install: applications decided before your eyes."`
	Model   modelCmd    `cmd:"" help:"Bundles and routes: look, verify, score a file, release, route, roll back."`
	API     apiCmd      `cmd:"" name:"api" help:"Answer over HTTP: decisions, look-ups, a page and documentation."`
	Several runCmd      `cmd:"" name:"run" help:"Run several of score, view, api and drift in one process."`
	Produce produceCmd  `cmd:"" help:"Emit applications and their outcomes: a CSV file replayed, or a synthetic population."`
	Score   scoreCmd    `cmd:"" help:"Score applications exactly once: predictions, dead letters and offsets in one transaction."`
	Topics  topicsCmd   `cmd:"" help:"Create, compare and describe the topics; print ACLs."`
	InForce configCmd   `cmd:"" name:"config" help:"Show the effective settings and where each one comes from."`
	View    viewCmd     `cmd:"" help:"Keep the Redis view of predictions: the last one of every application."`
	Doing   replicasCmd `cmd:"" name:"replicas" help:"Show what every running component is doing."`
	Tail    tailCmd     `cmd:"" help:"Show predictions as they come, or those of one application."`
	Drift   driftCmd    `cmd:"" help:"Count decisions and outcomes exactly once, detect drift and fire alerts; also reports."`
	Explain explainCmd  `cmd:"" help:"Take a decision apart: make it again, and show what every feature contributed."`
	Erase   eraseCmd    `cmd:"" help:"Remove an application from the Redis view."`
	Verify  verifyCmd   `cmd:"" help:"Judge a run: nothing lost, nothing duplicated, nothing altered."`
	Dataset datasetCmd  `cmd:"" help:"Training data from the stream: predictions joined with outcomes."`
	DLQ     dlqCmd      `cmd:"" name:"dlq" help:"Records that could not be scored: look at them, replay them."`
	Health  healthCmd   `cmd:"" help:"Ask a running component whether it can do its work; for health checks."`
	Version versionCmd  `cmd:"" help:"Print the version."`
}

// process is what a command runs in.
type process struct {
	ctx   context.Context // ends with SIGINT or SIGTERM
	began time.Time       // when the program started
	log   *slog.Logger    // to stderr
	// How log was made, for a command that shows its own.
	logLevel  slog.Level
	logFormat string
	stdin     io.Reader
	stdout    io.Writer // results only; progress and logs go to stderr
	stderr    io.Writer
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

// What the program ends with: the first for whatever failed, the second for what
// whoever started it has to change. Commands have codes of their own beyond.
const (
	exitFailed = 1
	exitUsage  = 2
)

// Run is the whole program but for the process's own signals and exit: 0 done,
// 1 failed, 2 wrong usage, or the code a command asked for.
func Run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var (
		root   grammar
		exited = -1
		began  = time.Now()
	)
	// Somebody who reads the output and goes away ends the program as a signal does,
	// so that it cleans up behind itself.
	signalled := ctx
	ctx, gone := context.WithCancel(ctx)
	defer gone()
	out, errs := &noticingWriter{w: stdout, gone: gone}, &noticingWriter{w: stderr, gone: gone}
	stdout, stderr = out, errs
	settings := newSettings()
	parser, err := newParser(&root, settings, stdout, stderr, func(code int) { exited = code })
	if err != nil {
		fmt.Fprintln(stderr, "creditstream:", err)
		return 1
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	if err := settings.load(args); err != nil {
		fmt.Fprintln(stderr, "creditstream:", err)
		return exitUsage
	}
	kctx, err := parser.Parse(args)
	if exited >= 0 { // --help
		return exited
	}
	if failed := out.failure(); failed != nil { // only help was written until here
		if !errors.Is(failed, syscall.EPIPE) { // nobody reads on, as in --help | head
			fmt.Fprintln(stderr, "creditstream:", failed)
		}
		return exitFailed
	}
	names, set := variablesOf(parser.Model), setVariables()
	command := ""
	var parse *kong.ParseError
	switch {
	case err == nil:
		command = commandPath(kctx)
	case errors.As(err, &parse) && parse.Context != nil:
		command = commandPath(parse.Context)
	}
	// What is missing may be in a variable of an old name.
	if old := names.checkOld(set, strings.TrimSpace(command)); old != nil {
		err = old
	}
	if err == nil {
		err = cmp.Or(settings.check(kctx), flags.Check(kctx.Selected()))
	}
	if err != nil {
		fmt.Fprintln(stderr, "creditstream:", settings.explainParse(err))
		if errors.As(err, &parse) {
			fmt.Fprintf(stderr, "Try: creditstream %s--help\n", command)
		}
		return exitUsage
	}
	var level slog.Level
	_ = level.UnmarshalText([]byte(root.LogLevel)) // the flag's enum lets only valid levels through
	p := &process{
		ctx: ctx, began: began, log: newLogger(stderr, level, root.LogFormat), logLevel: level, logFormat: root.LogFormat,
		stdin: stdin, stdout: stdout, stderr: stderr,
	}
	names.warnUnknown(set, p.log)
	err = flags.Open(kctx.Selected(), p.log)
	if err == nil {
		err = cmp.Or(kctx.Run(p, settings, parser), out.failure())
	}
	if err == nil && errors.Is(errs.failure(), syscall.EPIPE) { // cut short, whatever it was about to say
		return 1
	}
	if err != nil {
		var code exitCode
		if errors.As(err, &code) {
			return int(code)
		}
		failed := exitFailed
		if wrong := (flags.UsageError{}); errors.As(err, &wrong) {
			failed = exitUsage
		}
		if errors.Is(err, syscall.EPIPE) { // nobody reads on, as in tail | head
			return 1
		}
		if signalled.Err() != nil && errors.Is(err, context.Canceled) {
			err = interrupted(err)
		}
		if at, ok := flags.Deployment(kctx.Selected()); ok {
			err = at.Complete(err)
		}
		if root.LogFormat == "json" { // for a program that reads every line
			p.log.Error("failed", "error", err)
		} else {
			fmt.Fprintln(stderr, "creditstream:", err)
		}
		return failed
	}
	return 0
}

// dialling ends what the client says of a connection that was being made.
var dialling = regexp.MustCompile(`unable to dial: dial \S+ \S+ $`)

// interrupted is an error of a command that a signal ended: what it was at, and
// nothing about brokers that were not given the time to answer.
func interrupted(err error) error {
	at := strings.TrimSuffix(err.Error(), context.Canceled.Error())
	at = dialling.ReplaceAllString(strings.TrimSuffix(at, "operation was canceled"), "")
	if at = strings.TrimRight(at, ": "); at == "" {
		return errors.New("interrupted")
	}
	return fmt.Errorf("interrupted: %s", at)
}

// noticingWriter keeps the first failure: results that could not be written are
// not told by whoever prints them line by line. It is safe for concurrent use.
type noticingWriter struct {
	w      io.Writer
	gone   func()     // called when nobody reads any more
	mu     sync.Mutex // of writing, and guards failed
	failed error
}

func (n *noticingWriter) Write(b []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	k, err := n.w.Write(b)
	n.failed = cmp.Or(n.failed, err)
	if errors.Is(err, syscall.EPIPE) {
		n.gone()
	}
	return k, err
}

func (n *noticingWriter) failure() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.failed
}

// onTerminal says whether people look at what is written there.
func onTerminal(w io.Writer) bool {
	if n, ok := w.(*noticingWriter); ok {
		w = n.w
	}
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// newParser is what reads a command line into root.
func newParser(root *grammar, s *settings, stdout, stderr io.Writer, exit func(int)) (*kong.Kong, error) {
	parser, err := kong.New(root, append(numberOptions(),
		kong.Name("creditstream"),
		kong.Description("Scores credit applications from Kafka exactly once, with reasons, and answers the same over HTTP.\n\nFlags can also be set by the environment or in a YAML file (--config); a flag wins over the environment, the environment over the file. The help of a command names each flag's variable: CREDITSTREAM_BROKERS sets --brokers of every command, CREDITSTREAM_SCORE_GROUP sets --group of score alone."),
		kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true, WrapUpperBound: 100}),
		kong.ValueFormatter(helpText),
		kong.Writers(stdout, stderr),
		kong.Exit(exit),
		kong.Resolvers(s),
	)...)
	if err != nil {
		return nil, err
	}
	nameVariables(parser.Model)
	return parser, nil
}

// commandPath is the command that was meant, as far as it was said, and a space.
func commandPath(c *kong.Context) string {
	named := words(c.Selected())
	if len(named) == 0 {
		return ""
	}
	return strings.Join(named, " ") + " "
}

// helpText is a flag's help with its default and its variable.
func helpText(v *kong.Value) string {
	text := kong.DefaultHelpValueFormatter(v)
	// kong shows a default only where nothing says what a value looks like.
	if v.HasDefault && v.Default != "" && v.Flag != nil && v.Flag.PlaceHolder != "" && !strings.Contains(text, "default") {
		text = strings.TrimSuffix(text, ".") + " (default " + v.Default + ")"
	}
	if v.Flag != nil && len(v.Flag.Envs) > 0 {
		text = strings.TrimSuffix(text, ".") + " ($" + strings.Join(v.Flag.Envs, ", $") + ")."
	}
	return text
}

func newLogger(w io.Writer, level slog.Level, format string) *slog.Logger {
	opts := &slog.HandlerOptions{Level: level}
	if format == "json" {
		return slog.New(repeats.NewHandler(slog.NewJSONHandler(w, opts)))
	}
	return slog.New(repeats.NewHandler(slog.NewTextHandler(w, opts)))
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
