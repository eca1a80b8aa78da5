package cli

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// numberOptions read numbers as people write them: in decimal, also with leading
// zeros, as the ids have that the product prints. kong's own take those for octal.
func numberOptions() (options []kong.Option) {
	whole := kong.MapperFunc(decodeWhole)
	for _, kind := range []reflect.Kind{reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64} {
		options = append(options, kong.KindMapper(kind, whole))
	}
	count := kong.MapperFunc(decodeCount)
	for _, kind := range []reflect.Kind{reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64} {
		options = append(options, kong.KindMapper(kind, count))
	}
	for _, kind := range []reflect.Kind{reflect.Float32, reflect.Float64} {
		options = append(options, kong.KindMapper(kind, kong.MapperFunc(decodeReal)))
	}
	return append(options, kong.TypeMapper(reflect.TypeFor[time.Duration](), kong.MapperFunc(decodeDuration)))
}

// valueOf is the text of the value that comes next.
func valueOf(ctx *kong.DecodeContext) (string, error) {
	token, err := ctx.Scan.PopValue("number")
	if err != nil {
		return "", err
	}
	return fmt.Sprint(token.Value), nil
}

func decodeWhole(ctx *kong.DecodeContext, target reflect.Value) error {
	text, err := valueOf(ctx)
	if err != nil {
		return err
	}
	n, err := strconv.ParseInt(text, 10, target.Type().Bits())
	if errors.Is(err, strconv.ErrRange) {
		return fmt.Errorf("%q is out of range", text)
	}
	if err != nil {
		return fmt.Errorf("%q: expected a whole number", text)
	}
	target.SetInt(n)
	return nil
}

func decodeCount(ctx *kong.DecodeContext, target reflect.Value) error {
	text, err := valueOf(ctx)
	if err != nil {
		return err
	}
	n, err := strconv.ParseUint(text, 10, target.Type().Bits())
	if errors.Is(err, strconv.ErrRange) {
		return fmt.Errorf("%q is out of range", text)
	}
	if err != nil {
		return fmt.Errorf("%q: expected a whole number, 0 or more", text)
	}
	target.SetUint(n)
	return nil
}

func decodeReal(ctx *kong.DecodeContext, target reflect.Value) error {
	text, err := valueOf(ctx)
	if err != nil {
		return err
	}
	x, err := strconv.ParseFloat(text, target.Type().Bits())
	if err != nil || math.IsNaN(x) || math.IsInf(x, 0) || strings.ContainsAny(text, "xX") {
		return fmt.Errorf("%q: expected a number", text)
	}
	target.SetFloat(x)
	return nil
}

func decodeDuration(ctx *kong.DecodeContext, target reflect.Value) error {
	text, err := valueOf(ctx)
	if err != nil {
		return err
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("%q: expected a duration with its unit, as 90s, 5m or 24h", text)
	}
	target.SetInt(int64(d))
	return nil
}
