package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/creditstream/creditstream/internal/lifecycle"
)

type demoCmd struct {
	Decisions uint64  `help:"Applications to emit; 0: no end." default:"0" placeholder:"N"`
	Rate      float64 `help:"Applications per second; 0: as fast as possible." default:"200" placeholder:"N"`
	Scenario  string  `help:"What happens: steady, recession, new-segment or broken-feed." default:"steady" placeholder:"NAME"`
	Seed      *uint64 `help:"Makes the population repeatable (default: another one each time)." placeholder:"N"`
	DataDir   string  `help:"Folder of the embedded Kafka; started again with the same one, the demo goes on where it stopped (default: a temporary folder, removed at the end)." type:"path" placeholder:"DIR"`
	APIListen string  `help:"Where the page, the API and its documentation are served." default:"127.0.0.1:8000" name:"api-listen" placeholder:"HOST:PORT"`
	InProcess bool    `help:"Score within this process; by default the scorer is a child process, so that it can be killed and be seen to come back."`
	Exit      bool    `help:"End once every application of --decisions is answered, then read the topics back and say what was lost or came twice; implies --in-process."`
	JSON      bool    `help:"With --exit: print the result as one JSON object." name:"json"`
}

// Help is the second half of `demo --help`.
func (demoCmd) Help() string {
	return `Runs everything in one place on nothing but this binary: an embedded Kafka and Redis, a synthetic population that applies for credit, the scorer, the view in Redis, the API and its page. Outside clients can reach Kafka and Redis on the ports it prints. Kafka keeps one hour or 200 MB.

Examples:
  creditstream demo
  creditstream demo --scenario recession --rate 2000
  creditstream demo --decisions 100000 --rate 0 --exit --json`
}
