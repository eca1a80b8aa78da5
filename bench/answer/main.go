// Command answer serves POST /predict without Kafka and Redis, to tell what the
// rest costs: the API as it is but for its log, or a bare handler on the same
// router that reads the body and decides nothing.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/creditstream/creditstream/api"
	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/model/shipped"
	"github.com/creditstream/creditstream/policy"
	"github.com/creditstream/creditstream/schemas"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8000", "where to answer, host:port")
	bare := flag.Bool("bare", false, "only read the body and send an answer that is always the same")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *listen, *bare)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "answer:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, listen string, bare bool) error {
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	if bare {
		return serveBare(ctx, l)
	}
	live, err := model.Fixed(shipped.Bundle, model.EngineNative, policy.DefaultText)
	if err != nil {
		return err
	}
	reg := prometheus.NewRegistry()
	server, err := api.New(api.Config{
		Listener: l, Live: func() *model.LiveSet { return live }, Publisher: nowhere{}, LocalOnly: true,
		Limits:  api.Limits{InFlight: 1024, Publish: 5 * time.Second},
		Metrics: promhttp.HandlerFor(reg, promhttp.HandlerOpts{}), Registerer: reg,
		Ready: func() error { return nil }, Pending: func() error { return nil },
		Version: "bench", Log: slog.New(slog.DiscardHandler), Now: time.Now,
	})
	if err != nil {
		return err
	}
	return server.Run(ctx)
}

// nowhere is a Publisher whose log has everything at once.
type nowhere struct{}

// Publish is part of api.Publisher.
func (nowhere) Publish(_ context.Context, _ []schemas.Prediction, _ []api.Position, errs []error) {
	clear(errs)
}

// bareAnswer has the size of what POST /predict answers.
var bareAnswer = func() []byte {
	p := schemas.Prediction{
		ApplicationID: "0199a8f6-0000-7000-8000-000000000000", DefaultProbability: 0.18342, Decision: schemas.Approve, Points: 530,
		Reasons:      []schemas.Reason{{Code: "UTILISATION", Contribution: 0.4121}, {Code: "RECENT_DELAY", Contribution: 0.1277}},
		ModelVersion: "2026-11-23.1", Route: schemas.RouteChampion, PolicyVersion: "3f9c1a7e",
	}
	return schemas.AppendAnswer(nil, &p, func(code string) string { return code + ": some forty letters that explain it" })
}()

func serveBare(ctx context.Context, l net.Listener) error {
	r := chi.NewRouter()
	r.Post("/predict", func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(bareAnswer)
	})
	r.Get("/healthz", func(http.ResponseWriter, *http.Request) {})
	server := &http.Server{Handler: r, ReadHeaderTimeout: 5 * time.Second}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.Serve(l); ctx.Err() == nil {
		return err
	}
	return nil
}
