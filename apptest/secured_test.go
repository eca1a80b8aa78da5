//go:build kafka

package apptest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/creditstream/creditstream/internal/loopback"
)

// marker is part of every password: no process may write it anywhere.
const marker = "Xq7-never-shown"

// securedServers are a Kafka that lets nobody in without a login over TLS and
// allows nothing by itself, and a Redis likewise.
type securedServers struct {
	t      *testing.T
	dir    string // passwords, tokens
	data   string // of Kafka; tls/ in it holds the certificates
	kafka  string
	redis  string
	client *kgo.Client // the super user's
	admin  *kadm.Client
	apps   []*app
}

const (
	securedPrefix = "secured"
	securedGroup  = "night"
)

func startSecured(t *testing.T) *securedServers {
	s := &securedServers{t: t, dir: t.TempDir(), data: t.TempDir()}
	_, port, err := loopback.Free(2) // the next is the controller's
	require.NoError(t, err)
	script := func(args ...string) string {
		cmd := exec.Command("../deploy/dev/kafka.sh", args...)
		cmd.Env = append(os.Environ(), "KAFKA_SECURE=1", "KAFKA_DATA="+s.data, "KAFKA_PORT="+strconv.Itoa(port), "KAFKA_HEAP=512m")
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		require.NoError(t, err, "kafka.sh %v", args)
		return strings.TrimSpace(string(out))
	}
	script("fetch")
	t.Cleanup(func() { script("stop") })
	s.kafka = script("start", "1")
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(s.file("ca.pem")))
	s.client, err = kgo.NewClient(kgo.SeedBrokers(s.kafka), kgo.DialTLSConfig(&tls.Config{RootCAs: pool}),
		kgo.SASL(scram.Auth{User: "admin", Pass: strings.TrimSpace(s.file("password"))}.AsSha512Mechanism()))
	require.NoError(t, err)
	t.Cleanup(s.client.Close)
	s.admin = kadm.NewClient(s.client)
	s.startRedis()
	t.Cleanup(func() {
		for _, a := range s.apps {
			require.NotContains(t, string(a.stdout.bytes())+string(a.stderr.bytes()), marker, a.name)
		}
	})
	return s
}

func (s *securedServers) path(name string) string { return filepath.Join(s.data, "tls", name) }

func (s *securedServers) file(name string) string {
	b, err := os.ReadFile(s.path(name))
	require.NoError(s.t, err)
	return string(b)
}

// secret writes a file of its own and returns its path.
func (s *securedServers) secret(name, text string) string {
	path := filepath.Join(s.dir, name)
	require.NoError(s.t, os.WriteFile(path, []byte(text+"\n"), 0o600))
	return path
}

func password(user string) string { return marker + "-" + user }

// startRedis starts Redis with the users that docs/security.md has rules for.
func (s *securedServers) startRedis() {
	doc, err := os.ReadFile("../docs/security.md")
	require.NoError(s.t, err)
	rules := "user default off\n"
	found := regexp.MustCompile(`(?m)^user creditstream-(\w+) .*$`).FindAllStringSubmatch(string(doc), -1)
	require.Len(s.t, found, 3, "docs/security.md has a rule for view, one for api and one for drift")
	for _, m := range found {
		require.Contains(s.t, m[0], ">PASSWORD ")
		require.Contains(s.t, m[0], "~credit:")
		rule := strings.ReplaceAll(m[0], "~credit:", "~"+securedPrefix+":")
		rules += strings.Replace(rule, ">PASSWORD", ">"+password(m[1]), 1) + "\n"
	}
	// One that may read and not write.
	rules += "user reader on >" + password("view") + " ~* +@read +hello +ping +client|setname\n"
	s.redis = freeAddress(s.t)
	_, port, err := net.SplitHostPort(s.redis)
	require.NoError(s.t, err)
	cmd := exec.Command("redis-server", "--bind", "127.0.0.1", "--port", "0", "--tls-port", port, "--save", "",
		"--tls-cert-file", s.path("server.pem"), "--tls-key-file", s.path("server.key"), "--tls-ca-cert-file", s.path("ca.pem"),
		"--tls-auth-clients", "no", "--aclfile", s.secret("users.acl", rules), "--dir", s.dir)
	log := &output{}
	cmd.Stdout, cmd.Stderr = log, log
	require.NoError(s.t, cmd.Start())
	s.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	})
	until(s.t, time.Minute, "Redis listens", func() bool {
		require.NotContains(s.t, log.tail(), "Aborting")
		conn, err := net.Dial("tcp", s.redis)
		if err != nil {
			return false
		}
		_ = conn.Close()
		return true
	})
}

// as are the flags of a principal that logs in with SCRAM.
func (s *securedServers) as(principal, mechanism string, args ...string) []string {
	return append(args, "--brokers", s.kafka, "--prefix", securedPrefix, "--tls", "--tls-ca", s.path("ca.pem"),
		"--sasl-mechanism", mechanism, "--sasl-user", principal, "--sasl-password-file", s.secret(principal, password(principal)))
}

// withRedis are the flags of a Redis user.
func (s *securedServers) withRedis(user, secret string, args ...string) []string {
	return append(args, "--redis", s.redis, "--redis-tls", "--redis-ca", s.path("ca.pem"),
		"--redis-user", user, "--redis-password-file", s.secret("redis-"+user, secret))
}

func (s *securedServers) keep(a *app) *app {
	s.apps = append(s.apps, a)
	return a
}

func (s *securedServers) run(args ...string) *app { return s.keep(run(s.t, args...)) }

func (s *securedServers) service(args ...string) *app {
	return s.keep(service(s.t, args[0], args...))
}

// refused runs a service that must end by itself, and says what it wrote.
func (s *securedServers) refused(args ...string) string {
	a := s.service(args...)
	select {
	case <-a.ended:
	case <-time.After(30 * time.Second):
		require.Fail(s.t, "it does not end", "%v: %s", args, a.stderr.tail())
	}
	require.Equal(s.t, 1, a.cmd.ProcessState.ExitCode())
	return string(a.stderr.bytes())
}

// grant is one operation of what topics acls --json prints.
type grant struct {
	resource, name, operation string
	prefixed                  bool
}

func (g grant) String() string { return g.operation + " on " + g.resource + " " + g.name }

// printed is what topics acls prints for each principal.
func (s *securedServers) printed() map[string][]grant {
	var principals []struct {
		Name   string `json:"name"`
		Grants []struct {
			Resource   string   `json:"resource"`
			Name       string   `json:"name"`
			Prefixed   bool     `json:"prefixed"`
			Operations []string `json:"operations"`
		} `json:"grants"`
	}
	s.run("topics", "acls", "--json", "--prefix", securedPrefix, "--group", securedGroup).answer(&principals)
	all := map[string][]grant{}
	for _, p := range principals {
		for _, g := range p.Grants {
			for _, o := range g.Operations {
				all[p.Name] = append(all[p.Name], grant{g.Resource, g.Name, o, g.Prefixed})
			}
		}
	}
	return all
}

func (g grant) codes(t *testing.T) (resource kmsg.ACLResourceType, pattern kmsg.ACLResourcePatternType, operation kmsg.ACLOperation) {
	var err error
	resource, err = kmsg.ParseACLResourceType(strings.ReplaceAll(g.resource, "-", "_"))
	require.NoError(t, err)
	operation, err = kmsg.ParseACLOperation(g.operation)
	require.NoError(t, err)
	pattern = kmsg.ACLResourcePatternTypeLiteral
	if g.prefixed {
		pattern = kmsg.ACLResourcePatternTypePrefixed
	}
	return resource, pattern, operation
}

func (s *securedServers) allow(principal string, grants ...grant) {
	r := kmsg.NewPtrCreateACLsRequest()
	for _, g := range grants {
		c := kmsg.NewCreateACLsRequestCreation()
		c.ResourceType, c.ResourcePatternType, c.Operation = g.codes(s.t)
		c.ResourceName, c.Principal, c.Host, c.PermissionType = g.name, "User:"+principal, "*", kmsg.ACLPermissionTypeAllow
		r.Creations = append(r.Creations, c)
	}
	answer, err := r.RequestWith(s.t.Context(), s.client)
	require.NoError(s.t, err)
	for i, one := range answer.Results {
		require.Zero(s.t, one.ErrorCode, grants[i])
	}
	for _, g := range grants {
		s.settled(principal, g, 1)
	}
}

func (s *securedServers) deny(principal string, g grant) {
	r := kmsg.NewPtrDeleteACLsRequest()
	f := kmsg.NewDeleteACLsRequestFilter()
	f.ResourceType, f.ResourcePatternType, f.Operation = g.codes(s.t)
	f.ResourceName, f.Principal, f.PermissionType = kmsg.StringPtr(g.name), kmsg.StringPtr("User:"+principal), kmsg.ACLPermissionTypeAny
	r.Filters = append(r.Filters, f)
	answer, err := r.RequestWith(s.t.Context(), s.client)
	require.NoError(s.t, err)
	require.Len(s.t, answer.Results[0].MatchingACLs, 1, g)
	s.settled(principal, g, 0)
}

// settled waits until the broker knows of a change.
func (s *securedServers) settled(principal string, g grant, want int) {
	until(s.t, time.Minute, g.String()+" is settled", func() bool {
		r := kmsg.NewPtrDescribeACLsRequest()
		r.ResourceType, r.ResourcePatternType, r.Operation = g.codes(s.t)
		r.ResourceName, r.Principal, r.PermissionType = kmsg.StringPtr(g.name), kmsg.StringPtr("User:"+principal), kmsg.ACLPermissionTypeAny
		answer, err := r.RequestWith(s.t.Context(), s.client)
		require.NoError(s.t, err)
		n := 0
		for _, resource := range answer.Resources {
			n += len(resource.ACLs)
		}
		return n == want
	})
}

// granted counts what the broker holds for a principal.
func (s *securedServers) granted(principal string) (n int) {
	r := kmsg.NewPtrDescribeACLsRequest()
	r.ResourceType, r.ResourcePatternType, r.Operation = kmsg.ACLResourceTypeAny, kmsg.ACLResourcePatternTypeAny, kmsg.ACLOperationAny
	r.Principal, r.PermissionType = kmsg.StringPtr("User:"+principal), kmsg.ACLPermissionTypeAny
	answer, err := r.RequestWith(s.t.Context(), s.client)
	require.NoError(s.t, err)
	for _, resource := range answer.Resources {
		n += len(resource.ACLs)
	}
	return n
}

// token is one that the development broker takes: unsigned.
func token(principal string) string {
	part := func(v any) string {
		b, _ := json.Marshal(v) // maps of plain values
		return base64.RawURLEncoding.EncodeToString(b)
	}
	now := time.Now().Unix()
	return part(map[string]any{"alg": "none"}) + "." + part(map[string]any{"sub": principal, "iat": now, "exp": now + 3600, "jti": marker}) + "."
}

// Every part works as a principal of its own with what topics acls prints for it,
// and the scorer names whichever of its grants is missing.
func TestSecuredKafkaAndRedisOnKafka(t *testing.T) {
	s := startSecured(t)
	const sha256, sha512 = "SCRAM-SHA-256", "SCRAM-SHA-512"
	grants := s.printed()
	for _, m := range []kadm.ScramMechanism{kadm.ScramSha256, kadm.ScramSha512} {
		var users []kadm.UpsertSCRAM
		for principal := range grants {
			users = append(users, kadm.UpsertSCRAM{User: principal, Mechanism: m, Iterations: 4096, Password: password(principal)})
		}
		made, err := s.admin.AlterUserSCRAMs(t.Context(), nil, users)
		require.NoError(t, err)
		require.NoError(t, made.Error())
	}
	s.allowAsPrinted(grants, "scorer", "operator")
	for principal, list := range grants {
		if principal != "scorer" && principal != "operator" {
			s.allow(principal, list...)
		}
	}

	s.run(s.as("operator", sha512, "topics", "apply", "--group-protocol", "consumer", "--group", securedGroup)...)
	s.run(s.as("operator", sha512, "topics", "list")...)
	s.run(s.as("releaser", sha512, "model", "release", "../model/shipped/credit-default.bundle")...)
	var released []struct {
		Version string `json:"version"`
	}
	s.run(s.as("releaser", sha512, "model", "list", "--json")...).answer(&released)
	s.run(s.as("releaser", sha512, "model", "route", "--champion", released[0].Version, "--why", "the first")...)

	scorer := s.as("scorer", sha512, "score", "--group", securedGroup, "--instance", "one")
	one := s.service(scorer...).ready()
	view := s.service(s.withRedis("creditstream-view", password("view"), s.as("view", sha256, "view")...)...).ready()
	s.run(s.as("producer", sha256, "produce", "--count", "500", "--rate", "0", "--outcomes-after", "1ms", "--outcomes-for", "approved")...)
	s.askOverHTTPS()

	tokenFile := s.secret("token", token("reader"))
	bearer := func(file string, args ...string) []string {
		return append(args, "--brokers", s.kafka, "--prefix", securedPrefix, "--tls", "--tls-ca", s.path("ca.pem"),
			"--sasl-mechanism", "OAUTHBEARER", "--sasl-token-file", file)
	}
	judged := func() (v verdict) {
		until(t, time.Minute, "the group's offsets are at the end", func() bool {
			s.run(bearer(tokenFile, "verify", "--json", "--group", securedGroup)...).answer(&v)
			return v.Pending == 0
		})
		return v
	}
	require.Equal(t, verdict{Applications: 500, Predictions: 500, APIOnly: 1}, judged())
	drift := s.service(s.withRedis("creditstream-drift", password("drift"), s.as("drift", sha256, "drift", "--from", "start")...)...).ready()
	until(t, time.Minute, "every decision and outcome is counted", func() bool {
		return drift.measures(`creditstream_drift_decisions_total 501`) && drift.measures(`creditstream_drift_outcomes_total\{result="matched"\} [1-9]\d*`)
	})
	drift.terminate()
	s.run(bearer(tokenFile, "tail", "over-https")...)
	turnedDown := s.keep(start(t, "tail", bearer(s.secret("forged", marker), "tail", "x")...))
	<-turnedDown.ended
	require.Contains(t, string(turnedDown.stderr.bytes()), "turn the token down: look at --sasl-token-file")

	one.terminate()
	s.deniedAtWork(scorer, grants["scorer"], s.as("producer", sha256, "produce"), judged)
	for _, g := range grants["scorer"] {
		want := map[string]string{
			"topic": g.operation + " on topic " + g.name,
			"group": "READ on group " + g.name, "transactional-id": "WRITE and DESCRIBE on transactional id " + g.name,
		}[g.resource]
		switch replicas := securedPrefix + ".replicas"; {
		case g.name == replicas && g.operation == "WRITE":
			s.unreported(scorer, g)
			continue
		case g.name == replicas:
			s.goesOnWithout(scorer, g, "cannot look whether another process runs under this name")
			continue
		case g.operation == "DESCRIBE_CONFIGS":
			s.goesOnWithout(scorer, g, "the settings of topics were not checked")
			continue
		}
		s.deny("scorer", g)
		require.Contains(t, s.refused(scorer...), want, "without %s", g)
		s.allow("scorer", g)
		s.service(scorer...).ready().terminate()
	}

	view.terminate()
	s.run(s.withRedis("creditstream-view", password("view"), s.as("view", sha256, "view", "--rebuild")...)...)
	s.run(s.withRedis("creditstream-view", password("view"), "erase", "--prefix", securedPrefix, "over-https")...)
	wrong := s.as("scorer", sha512, "score")
	s.secret("scorer", marker+"-wrong")
	require.Contains(t, s.refused(wrong...), `refuse SCRAM-SHA-512 as "scorer": look at --sasl-user and its password`)
	require.Contains(t, s.refused(s.withRedis("creditstream-view", marker, s.as("view", sha256, "view")...)...),
		"Redis refuses the login: look at --redis-user and its password")
	require.Contains(t, s.refused(s.withRedis("reader", password("view"), s.as("view", sha256, "view", "--group", securedPrefix+".view-two")...)...),
		"Redis does not allow this user what it needs: docs/security.md")
}

// askOverHTTPS asks the API for a decision, twice with one key, and looks it up.
func (s *securedServers) askOverHTTPS() {
	t := s.t
	key := marker + "-api-key"
	listen := freeAddress(t)
	api := s.service(s.withRedis("creditstream-api", password("api"), s.as("api", "SCRAM-SHA-512", "api", "--api-listen", listen, "--shutdown-delay", "0s",
		"--api-tls-cert", s.path("server.pem"), "--api-tls-key", s.path("server.key"),
		"--api-keys", s.secret("keys", "web:"+key))...)...).ready()
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(s.file("ca.pem")))
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}}
	defer client.CloseIdleConnections()
	ask := func(method, path, body string) (int, string) {
		r, err := http.NewRequestWithContext(context.Background(), method, "https://"+listen+path, strings.NewReader(body))
		require.NoError(t, err)
		r.Header.Set("Authorization", "Bearer "+key)
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Idempotency-Key", "one")
		answer, err := client.Do(r)
		require.NoError(t, err)
		defer func() { _ = answer.Body.Close() }()
		text, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		return answer.StatusCode, string(text)
	}
	body := `{"application_id": "over-https", "features": {"limit_bal": 200000, "sex": 2, "education": 2, "marriage": 1, "age": 34,
		"pay_0": 0, "pay_2": 0, "pay_3": -1, "pay_4": 0, "pay_5": 0, "pay_6": 2,
		"bill_amt1": 48210, "bill_amt2": 47102, "bill_amt3": 46001, "bill_amt4": 45230, "bill_amt5": 44990, "bill_amt6": 43120,
		"pay_amt1": 2000, "pay_amt2": 1800, "pay_amt3": 1700, "pay_amt4": 1500, "pay_amt5": 1600, "pay_amt6": 1500}}`
	code, first := ask(http.MethodPost, "/predict", body)
	require.Equal(t, http.StatusOK, code, first)
	code, again := ask(http.MethodPost, "/predict", body)
	require.Equal(t, http.StatusOK, code, again)
	require.Equal(t, first, again)
	until(t, time.Minute, "the view shows it", func() bool {
		code, _ := ask(http.MethodGet, "/predictions/over-https", "")
		return code == http.StatusOK
	})
	api.terminate()
}
