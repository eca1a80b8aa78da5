package cli

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/creditstream/creditstream/internal/capture"
	"github.com/creditstream/creditstream/internal/cli/flags"
	"github.com/creditstream/creditstream/internal/local"
	"github.com/creditstream/creditstream/internal/loopback"
)

func TestUnsafeAndImpossibleCombinationsAreRefused(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	require.NoError(t, os.WriteFile(secret, []byte("Xq7-secret\n"), 0o600))
	f := func(want, line string) {
		t.Helper()
		args := strings.Fields(strings.ReplaceAll(line, "SECRET", secret))
		code, _, errs := creditstream(t, args...)
		require.Equal(t, 2, code, errs)
		require.Contains(t, errs, want)
		require.NotContains(t, errs, "Xq7")
		// config refuses it in the same words.
		code, _, again := creditstream(t, append([]string{"config"}, args...)...)
		require.NotZero(t, code)
		require.Contains(t, again, want)
	}
	const scram = " --sasl-mechanism SCRAM-SHA-512 --sasl-user ann --sasl-password-file SECRET"
	const bearer = " --sasl-mechanism OAUTHBEARER"
	f("would log in to other machines over unencrypted connections: set --tls, or --insecure", "score --brokers kafka:9092"+scram)
	f("would log in to other machines", "score --brokers 127.0.0.1:9092,10.0.0.1:9092"+scram)
	f("would log in to other machines", "tail --brokers kafka:9092"+bearer+" --sasl-token-file SECRET")
	f("mean nothing while connections are not encrypted: set --tls", "score --tls-ca ca.pem")
	f("--tls-cert and --tls-key belong together", "score --tls --tls-cert c.pem")
	f("set --sasl-mechanism SCRAM-SHA-512, or OAUTHBEARER with a token", "verify --sasl-user ann")
	f("needs --sasl-user", "score --sasl-mechanism PLAIN --sasl-password-file SECRET")
	f("set CREDITSTREAM_SASL_PASSWORD, or --sasl-password-file FILE", "score --sasl-mechanism PLAIN --sasl-user ann")
	f("are for --sasl-mechanism OAUTHBEARER, not SCRAM-SHA-512", "score --sasl-token-file SECRET"+scram)
	f("needs one of --sasl-token-file FILE and --sasl-token-url URL", "score"+bearer)
	f("leave out --sasl-user", "score --sasl-user ann --sasl-token-file SECRET"+bearer)
	f("are for --sasl-token-url", "score --sasl-client-id id --sasl-token-file SECRET"+bearer)
	f("set CREDITSTREAM_SASL_CLIENT_SECRET, or --sasl-client-secret-file FILE", "score --sasl-client-id id --sasl-token-url https://h/t"+bearer)
	f("would get the client's secret in the clear: use https", "score --sasl-client-id id --sasl-client-secret-file SECRET --sasl-token-url http://h/t"+bearer)
	f("expected https://HOST/PATH, without user or password", "score --sasl-client-id id --sasl-client-secret-file SECRET --sasl-token-url https://u:Xq7@h/t"+bearer)
	f("--sasl-mechanism", "score --sasl-mechanism KERBEROS")
	f("expected no password in the URL, where all can see it: set CREDITSTREAM_REDIS_PASSWORD", "view --redis redis://u:Xq7@h:1")
	f("expected no password in the URL", "api --redis rediss://:Xq7@h:1/2")
	f("--redis: expected HOST:PORT, redis://", "view --redis u:Xq7@h:1")
	f("--redis: expected no parameters in the URL", "view --redis redis://h:1?password=Xq7")
	f("unknown scheme", "view --redis http://h:1")
	f("database \"x\"", "view --redis redis://h:1/x")
	f("--redis names user ann, --redis-user bob", "view --redis redis://ann@h:1 --redis-user bob --redis-password-file SECRET")
	f("set --redis-tls, or --redis-insecure", "view --redis redis://ann@redis/3 --redis-password-file SECRET")
	f("--redis-user needs a password", "view --redis rediss://ann@redis")
	f("--brokers: expected HOST:PORT", "score --brokers u:Xq7@h:1")
	f("set --redis-tls, or --redis-insecure", "view --redis redis:6379 --redis-password-file SECRET")
	f("--redis-user needs a password", "view --redis-user ann")
	f("set --redis-tls", "erase x --redis-ca ca.pem")
	f("--redis-cert and --redis-key belong together", "api --redis-tls --redis-key k.pem")
	const registry = " --schema-registry-user bob --schema-registry-password-file SECRET"
	for _, command := range []string{"score", "view", "api", "produce", "tail", "verify", "demo", "topics apply"} {
		f("set --schema-registry https://HOST:PORT, or --schema-registry-insecure", command+" --schema-registry http://registry.example.com:8081"+registry)
	}
	f("set --schema-registry https://HOST:PORT, or --schema-registry-insecure", "score --schema-registry http://10.0.0.1:8081/path --schema-registry-user bob")
	f("--schema-registry-ca means nothing", "score --schema-registry http://registry:8081 --schema-registry-ca ca.pem")
	f("--schema-registry-ca means nothing", "score --schema-registry-ca ca.pem")
	f("would show in the process list: set CREDITSTREAM_SASL_PASSWORD", "score --sasl-password Xq7-flag")
	f("would show in the process list: set CREDITSTREAM_SASL_CLIENT_SECRET", "score --sasl-client-secret=Xq7-flag")
	f("would show in the process list: set CREDITSTREAM_REDIS_PASSWORD", "view --redis-password=Xq7-flag")
}

func TestSafeCombinationsAreNotRefused(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(secret, []byte("x\n"), 0o600))
	f := func(line string) {
		t.Helper()
		code, _, errs := creditstream(t, append([]string{"config"}, strings.Fields(strings.ReplaceAll(line, "SECRET", secret))...)...)
		require.Zero(t, code, errs)
	}
	const scram = " --sasl-mechanism SCRAM-SHA-512 --sasl-user ann --sasl-password-file SECRET"
	f("score" + scram)
	f("score --brokers localhost:1,[::1]:2" + scram)
	f("score --brokers kafka:9092 --tls" + scram)
	f("score --brokers kafka:9092 --insecure" + scram)
	f("score --brokers kafka:9092")
	f("view --redis redis:6379 --redis-tls --redis-user ann --redis-password-file SECRET")
	f("view --redis redis:6379 --redis-insecure --redis-password-file SECRET")
	f("view --redis rediss://ann@redis/3 --redis-password-file SECRET --redis-ca ca.pem")
	f("api --redis rediss+cluster://a:1,b:2 --redis-user ann --redis-password-file SECRET")
	f("run view --redis redis://127.0.0.1/2 --redis-user ann --redis-password-file SECRET")
	const registry = " --schema-registry-user bob --schema-registry-password-file SECRET"
	f("score --schema-registry http://127.0.0.1:8081" + registry)
	f("score --schema-registry http://localhost:8081" + registry)
	f("score --schema-registry http://[::1]:8081" + registry)
	f("score --schema-registry https://registry.example.com:8081 --schema-registry-ca SECRET" + registry)
	f("score --schema-registry http://registry.example.com:8081 --schema-registry-insecure" + registry)
	f("score --schema-registry http://registry.example.com:8081")
}

func TestSecretsAreMaskedWhereverTheyComeFrom(t *testing.T) {
	path := settingsFile(t, "sasl-password: Xq7-file\nsasl-mechanism: PLAIN\nsasl-user: ann\n")
	t.Setenv("CREDITSTREAM_REDIS_PASSWORD", "Xq7-environment")
	for _, args := range [][]string{{"view"}, {"--json", "view"}, {}} {
		code, out, errs := creditstream(t, append([]string{"--config", path, "config"}, args...)...)
		require.Zero(t, code, errs)
		require.NotContains(t, out+errs, "Xq7")
		require.Contains(t, out, flags.Masked)
	}
	t.Setenv("CREDITSTREAM_CONFIG", path)
	require.Equal(t, flags.Masked, configOf(t, "view")["redis-password"].Value)
	require.Equal(t, flags.Masked, configOf(t, "view")["sasl-password"].Value)
}

// Nothing that fails says a secret: on a port where nothing listens, on one that
// does not speak TLS, and on servers that turn the login down.
func TestNoFailureShowsASecret(t *testing.T) {
	const secret = "Xq7-secret"
	t.Setenv("CREDITSTREAM_SASL_PASSWORD", secret)
	t.Setenv("CREDITSTREAM_REDIS_PASSWORD", secret)
	closed, _, err := loopback.Free(1)
	require.NoError(t, err)
	redis, err := local.StartRedis()
	require.NoError(t, err)
	defer redis.Close()
	redis.Server().RequireUserAuth("ann", "another")
	broker, err := local.StartKafka("", kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-512", "ann", "another"))
	require.NoError(t, err)
	defer broker.Close()
	scram := []string{"--sasl-mechanism", "SCRAM-SHA-512", "--sasl-user", "ann", "--log-level", "debug"}
	kafkaCommands := [][]string{{"topics", "list"}, {"tail", "x"}, {"verify"}, {"produce", "--count", "1"}, {"model", "list"}, {"score"}, {"view", "--redis-user", "ann", "--redis", redis.Addr()}, {"api", "--api-listen", "127.0.0.1:0", "--redis-user", "ann", "--redis", redis.Addr()}}
	var all sync.WaitGroup
	for _, at := range [][]string{{"--brokers", closed}, {"--brokers", broker.Addr()}, {"--brokers", broker.Addr(), "--tls"}} {
		for _, command := range kafkaCommands {
			all.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				shown := &capture.Output{}
				code := Run(ctx, slices.Concat(command, scram, at), strings.NewReader(""), shown, shown)
				assert.NotContains(t, shown.String(), secret, "%v at %s (%d)", command, at, code)
			})
		}
	}
	all.Wait()
	code, out, errs := creditstream(t, "erase", "x", "--redis", redis.Addr(), "--redis-user", "ann")
	require.Equal(t, 1, code)
	require.Contains(t, errs, "Redis refuses the login")
	require.NotContains(t, out+errs, secret)
}

// The documentation lists what topics acls prints.
func TestTheDocumentedGrantsAreThosePrinted(t *testing.T) {
	doc, err := os.ReadFile("../../docs/security.md")
	require.NoError(t, err)
	_, printed, _ := creditstream(t, "topics", "acls", "--brokers", "kafka:9093")
	as := strings.Contains(string(doc), printed)
	require.True(t, as, "put the output of topics acls --brokers kafka:9093 into docs/security.md")
}
