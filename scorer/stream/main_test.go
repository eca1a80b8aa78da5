package stream

import (
	"flag"
	"fmt"
	"os"
	"testing"
)

// TestMain lets more tests run beside each other than there are processors: most
// of the time they wait for clients to try again. -parallel says otherwise.
func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		if err := flag.Set("test.parallel", "8"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}
