package cli

import (
	"log/slog"

	"github.com/alecthomas/kong"
)

// kafkaUser, redisUser and registryUser are commands with the flags of these servers.
type (
	kafkaUser interface {
		checkKafka() error
		openKafka(log *slog.Logger) error
	}
	redisUser interface {
		checkRedis() error
		openRedis(log *slog.Logger) error
	}
	registryUser interface {
		checkRegistry() error
	}
)

// checkSecurity refuses what a command must not be started with. It looks at no
// file.
func checkSecurity(command *kong.Node) error {
	if err := checkAddresses(command); err != nil {
		return err
	}
	c := command.Target.Addr().Interface()
	if k, ok := c.(kafkaUser); ok {
		if err := k.checkKafka(); err != nil {
			return err
		}
	}
	if r, ok := c.(redisUser); ok {
		if err := r.checkRedis(); err != nil {
			return err
		}
	}
	if r, ok := c.(registryUser); ok {
		return r.checkRegistry()
	}
	return nil
}

// openSecurity makes a command ready to connect.
func openSecurity(command *kong.Node, log *slog.Logger) error {
	c := command.Target.Addr().Interface()
	if k, ok := c.(kafkaUser); ok {
		if err := k.openKafka(log); err != nil {
			return err
		}
	}
	if r, ok := c.(redisUser); ok {
		return r.openRedis(log)
	}
	return nil
}
