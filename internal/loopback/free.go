// Package loopback finds addresses for processes that are told where to listen.
package loopback

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
)

// Ports are taken from first to below end: under those that kernels hand out to
// clients, one of which could take an address before the process that is told to
// listen there does.
const (
	first = 20_000
	end   = 32_000
	tries = 200
)

var (
	mu    sync.Mutex // guards taken
	taken = map[int]bool{}
)

// Free is a loopback address, and its port, that nothing listens on, nor on the n-1
// ports behind it. This process gets none of them again.
func Free(n int) (at string, port int, err error) {
	mu.Lock()
	defer mu.Unlock()
	for range tries {
		port = first + rand.IntN(end-first-n)
		if !areFree(port, n) {
			continue
		}
		for i := range n {
			taken[port+i] = true
		}
		return address(port), port, nil
	}
	return "", 0, fmt.Errorf("no free port on loopback from %d to %d", first, end-1)
}

func areFree(port, n int) bool {
	for i := range n {
		if taken[port+i] {
			return false
		}
		l, err := net.Listen("tcp", address(port+i))
		if err != nil {
			return false
		}
		_ = l.Close() // nothing was accepted
	}
	return true
}

func address(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
