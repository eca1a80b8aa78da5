package measure

import (
	"bufio"
	"fmt"
	"math"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Median is the middle of values, between the two middle ones of an even number;
// NaN of none.
func Median(values []float64) float64 {
	n := len(values)
	if n == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// Quantile is the value below which a share q of sorted values lies, by nearest
// rank; NaN of none.
func Quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	return sorted[max(0, int(math.Ceil(q*float64(len(sorted))))-1)]
}

// Ratios are the rounds' ratios a/b, each of one round: what disturbs a round
// disturbs both sides of it.
func Ratios(a, b []float64) []float64 {
	out := make([]float64, min(len(a), len(b)))
	for i := range out {
		out[i] = a[i] / b[i]
	}
	return out
}

// Machine is where and when figures were taken.
type Machine struct {
	Processor string    `json:"processor"`
	Cores     int       `json:"cores"`
	MemoryMiB int64     `json:"memory_mib"`
	System    string    `json:"system"`
	Go        string    `json:"go"`
	Load      string    `json:"load"` // averages over 1, 5 and 15 minutes as it began
	Commit    string    `json:"commit"`
	Began     time.Time `json:"began"`
}

// ThisMachine describes this one, as far as it says.
func ThisMachine() Machine {
	m := Machine{Cores: runtime.NumCPU(), System: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version(), Began: time.Now().UTC().Truncate(time.Second)}
	m.Processor = field("/proc/cpuinfo", "model name")
	var kib int64
	_, _ = fmt.Sscan(field("/proc/meminfo", "MemTotal"), &kib)
	m.MemoryMiB = kib >> 10
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		if f := strings.Fields(string(text)); len(f) >= 3 {
			m.Load = strings.Join(f[:3], " ")
		}
	}
	if out, err := exec.Command("git", "rev-parse", "--short=12", "HEAD").Output(); err == nil {
		m.Commit = strings.TrimSpace(string(out))
	}
	return m
}

// field is what a file says behind "key:" in its first line that does.
func field(path, key string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if name, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(name) == key {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// String is the machine in one line.
func (m Machine) String() string {
	return fmt.Sprintf("%s, %d cores, %d MiB, %s, %s, load %s, commit %s, %s",
		m.Processor, m.Cores, m.MemoryMiB, m.System, m.Go, m.Load, m.Commit, m.Began.Format(time.RFC3339))
}
