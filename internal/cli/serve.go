package cli

import (
	"net"

	"github.com/creditstream/creditstream/internal/app"
	"github.com/creditstream/creditstream/internal/cli/flags"
	"github.com/creditstream/creditstream/schemas"
)

// appConfig is what the components of this process share. writes are the events that any
// of them writes.
func appConfig(p *process, k *flags.Kafka, name flags.Instance, m flags.Model, writes ...schemas.Event) (c app.Config, err error) {
	c = app.Config{Kafka: k.Config(p.log), Writes: writes, Version: version(), Began: p.began, Log: p.log}
	if c.Instance, err = name.Config(); err != nil {
		return c, err
	}
	if c.Registry, err = k.Registry.Client(p.log); err != nil {
		return c, err
	}
	c.Models, err = m.Config()
	return c, err
}

// newServices begins with it.
func newServices(p *process, k *flags.Kafka, name flags.Instance, m flags.Model, writes ...schemas.Event) (*app.Services, error) {
	c, err := appConfig(p, k, name, m, writes...)
	if err != nil {
		return nil, err
	}
	return app.New(c), nil
}

// listen takes the place where a process is looked at, nil for nowhere, and shows there
// what was asked for. It is taken before the process reports on itself: one that cannot
// have it never was there. Closing the services gives it back.
func listen(s *app.Services, f flags.Listen) (net.Listener, error) {
	at, err := f.Open()
	if err != nil || at == nil {
		return nil, err
	}
	s.Free(func() { _ = at.Close() }) // the server has closed it, unless it never ran
	if f.Pprof {
		s.ShowProfiles()
	}
	return at, nil
}

// serve runs what was added.
func serve(p *process, s *app.Services, f flags.Listen) error {
	at, err := listen(s, f)
	if err != nil {
		return err
	}
	return s.Serve(p.ctx, at)
}
