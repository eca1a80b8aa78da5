package api

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/internal/capture"
)

// pipes is a listener on memory, so that a bubble's clock rules its deadlines.
type pipes struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

func (p *pipes) dial() net.Conn {
	client, server := net.Pipe()
	p.conns <- server
	return client
}

// running is a world whose server runs; stop ends it as SIGTERM would.
func running(t *testing.T, change ...func(*Config)) (w *world, p *pipes, stop func(), stopped chan error) {
	p = newPipes()
	w = newWorld(t, append(change, func(c *Config) { c.Listener = p; c.Now = time.Now })...)
	ctx, stop := context.WithCancel(context.Background())
	stopped = make(chan error, 1)
	go func() { stopped <- w.server.Run(ctx) }()
	return w, p, stop, stopped
}

const predictHead = "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: "

func TestSlowClientsAreLetGo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, p, stop, stopped := running(t)
		f := func(sent string, after time.Duration) {
			began := time.Now()
			conn := p.dial()
			_, err := io.WriteString(conn, sent)
			require.NoError(t, err)
			_, _ = io.ReadAll(conn) // until the server closes it
			require.Equal(t, after, time.Since(began).Round(time.Second), sent)
		}
		f("POST /predict HTTP/1.1\r\nHost:", readHeaderTimeout)
		f(predictHead+"100\r\n\r\n{", readTimeout)
		f("", readHeaderTimeout)
		stop()
		require.NoError(t, <-stopped)
	})
}

func TestQuietConnectionIsClosed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, p, stop, stopped := running(t)
		conn := p.dial()
		_, err := io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
		require.NoError(t, err)
		reader := bufio.NewReader(conn)
		resp, err := http.ReadResponse(reader, nil)
		require.NoError(t, err)
		require.Equal(t, "ok\n", readAll(t, resp.Body))
		require.NoError(t, resp.Body.Close())
		began := time.Now()
		_, err = reader.ReadByte()
		require.Error(t, err)
		require.Equal(t, idleTimeout, time.Since(began).Round(time.Second))
		stop()
		require.NoError(t, <-stopped)
	})
}

func TestShutdownFinishesWhatIsBegun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, p, stop, stopped := running(t)
		release := make(chan struct{})
		w.log.enter = func(ctx context.Context) error {
			select {
			case <-release:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		body := request(example)
		conn := p.dial()
		got := make(chan string)
		go func() {
			_, _ = io.WriteString(conn, strings.Replace(predictHead, "Host", "Connection: close\r\nHost", 1)+itoa(len(body))+"\r\n\r\n"+body)
			b, _ := io.ReadAll(conn)
			got <- string(b)
		}()
		synctest.Wait()
		stop()
		synctest.Wait()
		select {
		case p.conns <- nil:
			t.Fatal("takes new connections while it stops")
		default:
		}
		close(release)
		require.Contains(t, <-got, "HTTP/1.1 200 OK")
		require.NoError(t, <-stopped)
		require.Len(t, w.log.all(), 1)
	})
}

func TestShutdownEndsStreams(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, p, stop, stopped := running(t, func(c *Config) { c.Feed = newFeed() })
		conn := p.dial()
		_, err := io.WriteString(conn, "GET /decisions/stream HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		require.NoError(t, err)
		got := make(chan string)
		go func() {
			b, _ := io.ReadAll(conn)
			got <- string(b)
		}()
		time.Sleep(5 * time.Minute) // of the bubble: past every timeout of a request
		stop()
		text := <-got
		require.Contains(t, text, "event: snapshot")
		require.GreaterOrEqual(t, strings.Count(text, ": still here"), 10)
		require.NoError(t, <-stopped)
	})
}

func TestListenerThatFailsEndsTheServer(t *testing.T) {
	t.Parallel()
	_, p, stop, stopped := running(t)
	defer stop()
	require.NoError(t, p.Close())
	require.ErrorIs(t, <-stopped, net.ErrClosed)
}

// A process that is stopped before it could decide says nothing of deciding.
func TestServer_SaysNothingOfDecidingOnceItStops(t *testing.T) {
	for _, ready := range []error{errors.New("log: no broker"), nil} {
		synctest.Test(t, func(t *testing.T) {
			said, stopping := &capture.Output{}, make(chan struct{})
			_, _, stop, stopped := running(t, func(c *Config) {
				c.Log, c.Stopping = slog.New(slog.NewTextHandler(said, nil)), stopping
				c.Ready = func() error {
					select {
					case <-stopping:
						return ready
					default:
						return errors.New("log: no broker")
					}
				}
			})
			time.Sleep(announceTime / 2) // of the bubble
			close(stopping)
			time.Sleep(time.Hour) // it answers for as long as --shutdown-delay says
			require.Empty(t, said.String())
			stop()
			require.NoError(t, <-stopped)
		})
	}
}

// The log says that the API answers once it can decide: before that the process may be
// about to be refused.
func TestServer_SaysThatItAnswersOnceItCanDecide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		said, why := &capture.Output{}, make(chan error, 1)
		missing := errors.New("log: no broker\nmodels: no route")
		_, _, stop, stopped := running(t, func(c *Config) {
			c.Log = slog.New(slog.NewTextHandler(said, nil))
			c.Ready = func() error {
				select {
				case missing = <-why:
				default:
				}
				return missing
			}
		})
		time.Sleep(announceTime - time.Millisecond) // of the bubble
		require.Empty(t, said.String())
		time.Sleep(time.Hour)
		require.Equal(t, 1, strings.Count(said.String(), "the API listens, and cannot decide yet"))
		require.Contains(t, said.String(), `missing="log: no broker; models: no route"`)
		why <- nil
		time.Sleep(time.Second)
		require.Equal(t, 1, strings.Count(said.String(), `msg="the API answers" address=http://`))
		stop()
		require.NoError(t, <-stopped)
	})
}
