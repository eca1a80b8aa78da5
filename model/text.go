package model

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// What a bundle's own words may be: they stand on predictions, before applicants and
// on terminals.
const (
	maxCode = 40  // characters of a reason code
	maxText = 500 // characters of any other text
)

// checkCode says what is wrong with a reason code: 1 to 40 of A-Z, 0-9 and _.
func checkCode(code string) error {
	const allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"
	if code == "" || len(code) > maxCode || strings.Trim(code, allowed) != "" {
		return fmt.Errorf("%.80q: expected 1 to %d capital letters, digits and underscores", code, maxCode)
	}
	return nil
}

// checkText says what is wrong with a text: 1 to 500 characters of UTF-8 on one
// line, none of them a control character.
func checkText(text string) error {
	if strings.TrimSpace(text) == "" || !utf8.ValidString(text) || utf8.RuneCountInString(text) > maxText || strings.ContainsFunc(text, hidden) {
		return fmt.Errorf("%.80q: expected 1 to %d characters of UTF-8 without control characters", text, maxText)
	}
	return nil
}

// hidden says whether a character does something else than show itself: control
// characters, and those that change the direction of what follows.
func hidden(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Bidi_Control, unicode.Zl, unicode.Zp)
}

// Clean is a text of a bundle that nothing has checked as it may be shown: on one
// line, with a blank for each hidden character, cut at 500 characters.
func Clean(text string) string {
	text = strings.Map(func(r rune) rune {
		if hidden(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "�"))
	if utf8.RuneCountInString(text) > maxText {
		text = string([]rune(text)[:maxText-1]) + "…"
	}
	return text
}
