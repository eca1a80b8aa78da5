package flags

import (
	"fmt"
	"net"

	"github.com/creditstream/creditstream/internal/app"
	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/model/shipped"
)

// Listen says where a component shows /metrics, /healthz and /readyz.
type Listen struct {
	Address string `name:"listen" help:"Where /metrics, /healthz and /readyz are served; empty: nowhere." default:"" placeholder:"HOST:PORT" address:"listen"`
	Pprof   bool   `name:"pprof" help:"Serve Go's profiles at --listen, below /debug/pprof/, to find what takes processor time or memory."`
}

// Model says which models a command serves, and how.
type Model struct {
	Engine string `help:"Engine that computes probabilities: ${enum}. auto is native." enum:"auto,native,onnx" default:"auto" group:"Model"`
	Bundle string `name:"model" help:"Bundle that serves while no route exists: shipped, the one inside the binary, or a file." default:"" placeholder:"shipped|FILE" group:"Model"`
}

// checkStart refuses profiles that nothing would show.
func (f Listen) checkStart() error {
	if f.Pprof && f.Address == "" {
		return Usagef("--pprof needs --listen HOST:PORT, where the profiles are served")
	}
	return nil
}

// Open takes the place where metrics and readiness are served, nil for nowhere.
func (f Listen) Open() (net.Listener, error) {
	if f.Address == "" {
		return nil, nil
	}
	l, err := net.Listen("tcp", f.Address)
	if err != nil {
		return nil, fmt.Errorf("--listen %s: %w", f.Address, err)
	}
	return l, nil
}

// Config is which models serve, and how.
func (f Model) Config() (app.Models, error) {
	bundle, err := ReadBundle(f.Bundle)
	return app.Models{Engine: f.Engine, Bundle: bundle, Name: "--model " + f.Bundle}, err
}

// ReadBundle reads what --model names: nothing, the shipped bundle, or a file.
func ReadBundle(name string) ([]byte, error) {
	switch name {
	case "":
		return nil, nil
	case "shipped":
		return shipped.Bundle, nil
	}
	b, err := model.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("--model: %w", err)
	}
	return b, nil
}
