package cli

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/creditstream/creditstream/internal/cli/flags"
	"github.com/creditstream/creditstream/schemas"
)

type topicsACLsCmd struct {
	Brokers       []string `help:"Kafka brokers in the printed commands." default:"127.0.0.1:9092" placeholder:"HOST:PORT,…"`
	CommandConfig string   `help:"File with the settings by which Kafka's tool logs in, for the printed commands." placeholder:"FILE"`
	Prefix        string   `help:"Prefix of every topic and transactional id." default:"credit"`
	Group         string   `help:"Consumer group of the scorer (default PREFIX.scorer; one that is still called scorer: --group scorer)." placeholder:"NAME"`
	Principal     string   `help:"One part only: scorer, producer, view, api, drift, releaser, operator or reader." placeholder:"NAME"`
	FormerGroups  bool     `help:"Also what an upgrade needs from a release whose groups were called scorer, view and drift: those names, until topics adopt-groups has run, and that command itself."`
	JSON          bool     `help:"Print JSON." name:"json"`
}

// Run prints the grants, as commands for Kafka's own tool.
func (c *topicsACLsCmd) Run(p *process) error {
	var (
		principals []schemas.Principal
		known      []string
	)
	all := schemas.Principals(c.Prefix, c.Group)
	if c.FormerGroups {
		all = schemas.WithFormerGroups(c.Prefix, all)
	}
	for _, one := range all {
		known = append(known, one.Name)
		if c.Principal == "" || c.Principal == one.Name {
			principals = append(principals, one)
		}
	}
	if len(principals) == 0 {
		return flags.CheckValue("--principal", c.Principal, known)
	}
	if c.JSON {
		return json.NewEncoder(p.stdout).Encode(principals)
	}
	for i, one := range principals {
		if i > 0 {
			fmt.Fprintln(p.stdout)
		}
		fmt.Fprintf(p.stdout, "# %s: %s\n", one.Name, one.Doc)
		for _, g := range one.Grants {
			fmt.Fprintln(p.stdout, c.command(one.Name, g))
		}
	}
	return nil
}

func (c *topicsACLsCmd) command(principal string, g schemas.Grant) string {
	command := []string{"kafka-acls.sh --bootstrap-server", strings.Join(c.Brokers, ",")}
	if c.CommandConfig != "" {
		command = append(command, "--command-config", "'"+c.CommandConfig+"'")
	}
	command = append(command, "--add --allow-principal", "User:"+principal)
	for _, o := range g.Operations {
		command = append(command, "--operation", toolsName(o))
	}
	if g.Resource == schemas.ResourceCluster {
		return strings.Join(append(command, "--cluster"), " ")
	}
	command = append(command, "--"+g.Resource, "'"+g.Name+"'")
	if g.Prefixed {
		command = append(command, "--resource-pattern-type prefixed")
	}
	return strings.Join(command, " ")
}

// toolsName is an operation as Kafka's tool calls it: ALTER_CONFIGS, which it does
// not know, is AlterConfigs.
func toolsName(operation string) string {
	var name strings.Builder
	for word := range strings.SplitSeq(operation, "_") {
		name.WriteString(word[:1] + strings.ToLower(word[1:]))
	}
	return name.String()
}
