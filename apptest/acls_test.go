//go:build kafka

package apptest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

// allowAsPrinted runs what topics acls prints for some principals, by Kafka's own
// tool, and holds that it is what they are granted.
func (s *securedServers) allowAsPrinted(grants map[string][]grant, principals ...string) {
	t := s.t
	script, err := filepath.Abs("../deploy/dev/kafka.sh")
	require.NoError(t, err)
	tools := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(tools, "kafka-acls.sh"), fmt.Appendf(nil, "#!/bin/sh\nexec '%s' acls \"$@\"\n", script), 0o700))
	login := s.secret("admin.properties", fmt.Sprintf(`security.protocol=SASL_SSL
ssl.truststore.type=PEM
ssl.truststore.location=%s
sasl.mechanism=SCRAM-SHA-512
sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username="admin" password="%s";`,
		s.path("ca.pem"), strings.TrimSpace(s.file("password"))))
	var all errgroup.Group
	for _, principal := range principals {
		commands := string(s.run("topics", "acls", "--principal", principal, "--brokers", s.kafka, "--command-config", login,
			"--prefix", securedPrefix, "--group", securedGroup).stdout.bytes())
		all.Go(func() error {
			run := exec.Command("sh", "-e")
			run.Stdin = strings.NewReader(commands)
			run.Env = append(os.Environ(), "PATH="+tools+":"+os.Getenv("PATH"))
			if out, err := run.CombinedOutput(); err != nil {
				return fmt.Errorf("%s: %w: %s", commands, err, out)
			}
			return nil
		})
	}
	require.NoError(t, all.Wait())
	for _, principal := range principals {
		for _, g := range grants[principal] {
			s.settled(principal, g, 1)
		}
		require.Len(t, grants[principal], s.granted(principal), "%s has nothing else", principal)
	}
}
