package demo

import (
	"fmt"
	"io"
	"os"

	"github.com/creditstream/creditstream/internal/kafka"
)

// say writes a line of where things are.
func say(w io.Writer, what, where string) { fmt.Fprintf(w, "  %-10s%s\n", what, where) }

// announce says where everything is.
func (d *demo) announce(w io.Writer, dataDir string) {
	fmt.Fprintln(w, "creditstream demo: applications are decided as they come in. Stop with Ctrl-C.")
	say(w, "page", d.address)
	say(w, "API docs", d.address+"/docs")
	brokers := ""
	if d.broker.Addr() != kafka.DefaultBroker {
		brokers = " --brokers " + d.broker.Addr()
	}
	say(w, "Kafka", d.broker.Addr()+", try: "+program()+" tail"+brokers)
	say(w, "Redis", d.redis.Addr())
	if dataDir != "" {
		say(w, "data", dataDir)
	}
}

// program is how this program was called.
func program() string { return os.Args[0] }

// farewell sums up.
func (d *demo) farewell(w io.Writer) {
	s, _ := d.watch.snapshot()
	fmt.Fprintf(w, "%d decisions, %d dead letters\n", s.Stream+s.API, s.DeadLetters)
}
