// Command creditstream scores credit applications from Kafka exactly once, with
// reasons, and answers the same over HTTP.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/creditstream/creditstream/internal/cli"
)

func main() {
	ctx, stop := cli.UntilSignal(context.Background())
	// It comes for sockets, too, whose other end has gone away: that is no reason to
	// end, and of standard output and error the write says so itself.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	code := cli.Run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
