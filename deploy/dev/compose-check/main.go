// Command compose-check loads a compose file as Docker Compose does and holds it
// to what ours must be: whoever is waited for can say that it is ready, and
// nothing is published beyond this machine.
//
//	go run . ../../../compose.yaml
package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: compose-check FILE")
		os.Exit(2)
	}
	services, err := check(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(os.Args[1]+":", strings.Join(services, " "))
}

func check(file string) (services []string, err error) {
	options, err := cli.NewProjectOptions([]string{file}, cli.WithInterpolation(true), cli.WithResolvedPaths(true))
	if err != nil {
		return nil, err
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		return nil, err
	}
	if _, err := project.WithSelectedServices(nil); err != nil { // what they depend on exists, without a circle
		return nil, err
	}
	var errs []error
	for name, s := range project.Services {
		services = append(services, name)
		for _, e := range broken(project, s) {
			errs = append(errs, fmt.Errorf("%s: service %s: %w", file, name, e))
		}
	}
	slices.Sort(services)
	return services, errors.Join(errs...)
}

func broken(project *types.Project, s types.ServiceConfig) (errs []error) {
	for _, p := range s.Ports {
		if at, err := netip.ParseAddr(p.HostIP); err != nil || !at.IsLoopback() {
			errs = append(errs, fmt.Errorf("port %d is published on %q: expected 127.0.0.1", p.Target, p.HostIP))
		}
	}
	for name, how := range s.DependsOn {
		on := project.Services[name]
		checked := on.HealthCheck != nil && !on.HealthCheck.Disable
		switch {
		case how.Condition == types.ServiceConditionHealthy && !checked:
			errs = append(errs, fmt.Errorf("waits for %s to be healthy, which has no health check", name))
		case how.Condition == types.ServiceConditionCompletedSuccessfully && on.Restart != "" && on.Restart != "no":
			errs = append(errs, fmt.Errorf("waits for %s to end, which is always started again (restart: %s)", name, on.Restart))
		case how.Condition == types.ServiceConditionStarted:
			errs = append(errs, fmt.Errorf("waits for %s to be started only: say service_healthy or service_completed_successfully", name))
		}
	}
	if runs := s.Restart != ""; runs && (s.HealthCheck == nil || s.HealthCheck.Disable) {
		errs = append(errs, errors.New("runs on and has no health check"))
	}
	if s.Build != nil {
		if _, err := os.Stat(s.Build.Context + "/" + s.Build.Dockerfile); err != nil {
			errs = append(errs, fmt.Errorf("build: %w", err))
		}
	}
	return errs
}
