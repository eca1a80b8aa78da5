package cli

import (
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/alecthomas/kong"

	"github.com/creditstream/creditstream/internal/cli/flags"
)

// What kong says of a command line that it cannot read.
var (
	kongEnum     = regexp.MustCompile(`^--([a-z0-9-]+) must be one of .* but got "(.*)"$`)
	kongNoValue  = regexp.MustCompile(`^(--?[A-Za-z0-9-]+): (expected \w+ value but got "EOL" \(<EOL>\)|missing value, expecting .*)$`)
	kongNextFlag = regexp.MustCompile(`^(--?[A-Za-z0-9-]+): expected \w+ value but got "(.+)" \((long|short) flag\); perhaps try .*$`)
	kongBool     = regexp.MustCompile(`^(--[a-z0-9-]+): bool value must be .* but got "(.*)"$`)
	kongFlag     = regexp.MustCompile(`^--([a-z0-9-]+):`)
)

// explainParse says what is wrong with a command line in this program's words, and
// where a value is from that was not typed. Other errors it leaves as they are.
func (s *settings) explainParse(err error) error {
	var parse *kong.ParseError
	if !errors.As(err, &parse) || parse.Context == nil {
		return err
	}
	return s.explain(err, parse.Context)
}

// explain does so for an error of a command line that was parsed into ctx.
func (s *settings) explain(err error, ctx *kong.Context) error {
	text := err.Error()
	all := ctx.Flags()
	flag := func(name string) *kong.Flag {
		if i := slices.IndexFunc(all, func(f *kong.Flag) bool { return f.Name == name }); i >= 0 {
			return all[i]
		}
		return nil
	}
	var about *kong.Flag
	switch {
	case kongEnum.MatchString(text):
		m := kongEnum.FindStringSubmatch(text)
		if about = flag(m[1]); about != nil {
			names := slices.DeleteFunc(about.EnumSlice(), func(name string) bool { return name == "" })
			text = flags.UnknownValue("--"+m[1], m[2], names)
		}
	case kongNoValue.MatchString(text):
		text = kongNoValue.FindStringSubmatch(text)[1] + ": expected a value"
	case kongNextFlag.MatchString(text):
		m := kongNextFlag.FindStringSubmatch(text)
		text = fmt.Sprintf("%s: expected a value, found %s; a value that begins with a dash is written %s=%s", m[1], m[2], m[1], m[2])
	case kongBool.MatchString(text):
		m := kongBool.FindStringSubmatch(text)
		about, text = flag(m[1][2:]), fmt.Sprintf("%s: %q: expected true or false", m[1], m[2])
	case kongFlag.MatchString(text):
		about = flag(kongFlag.FindStringSubmatch(text)[1])
	}
	if about != nil && isSecret(about) {
		text = fmt.Sprintf("--%s: its value cannot be read", about.Name)
	}
	if about != nil && !typed(ctx, about) {
		if origin := s.origin(about, ctx.Selected(), false); origin != originDefault {
			text += " (" + origin + ")"
		}
	}
	return flags.Usage(errors.New(text))
}

// typed says whether a flag is on the command line.
func typed(ctx *kong.Context, flag *kong.Flag) bool {
	return slices.ContainsFunc(ctx.Path, func(p *kong.Path) bool { return p.Flag == flag && !p.Resolved })
}
