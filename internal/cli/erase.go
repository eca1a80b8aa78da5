package cli

import (
	"encoding/json"
	"fmt"

	"github.com/creditstream/creditstream/consumer/view"
	"github.com/creditstream/creditstream/internal/cli/flags"
)

type eraseCmd struct {
	Redis flags.Redis `embed:""`

	Prefix string `help:"Name of the deployment, the prefix of all it owns." default:"credit"`

	ID   string `arg:"" help:"application_id."`
	JSON bool   `help:"Print JSON." name:"json"`
}

// Validate refuses a prefix that no deployment can have.
func (c *eraseCmd) Validate() error { return flags.CheckPrefix(c.Prefix) }

// Run removes the application's keys.
func (c *eraseCmd) Run(p *process) error {
	client := c.Redis.Config().Open()
	defer client.Close() //nolint:errcheck // nothing is left to be written
	removed, err := view.NewStore(client, c.Prefix).Erase(p.ctx, c.ID)
	if err != nil {
		return c.Redis.Config().Explain(err)
	}
	if c.JSON {
		return json.NewEncoder(p.stdout).Encode(map[string]any{"application_id": c.ID, "removed_keys": removed})
	}
	fmt.Fprintf(p.stdout, "%s: %d keys removed from the view. The log keeps its records until they expire there; filling or rebuilding the view brings them back.\n", c.ID, removed)
	return nil
}
