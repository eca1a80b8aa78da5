package producer

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/schemas"
)

// values is a valid row from LIMIT_BAL on, which makes number n recognisable.
func values(n int) string {
	return fmt.Sprintf("%d,2,1,2,26,-1,2,0,0,0,2,2682,1725,2682,3272,3455,3261,0,1000,1000,1000,0,2000", 10_000+n)
}

// uciFile is a file of n rows as the UCI file has them; the odd ones defaulted.
func uciFile(n int) string {
	var b strings.Builder
	b.WriteString(uciNames + "\n")
	for i := 1; i <= n; i++ {
		fmt.Fprintf(&b, "%d,%s,%d\n", i, values(i), i%2)
	}
	return b.String()
}

func writeFile(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rows.csv")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

type emitted struct {
	id    string
	limit int32
	fate  int8
}

// replayAll reads a file from row start on, to its end or at most n rows.
func replayAll(t testing.TB, text string, loop bool, start uint64, n int) ([]emitted, error) {
	t.Helper()
	r, err := openReplay(writeFile(t, text), "A-", loop)
	if err != nil {
		return nil, err
	}
	defer func() { require.NoError(t, r.Close()) }()
	if err := r.skip(start); err != nil {
		return nil, err
	}
	var out []emitted
	var a applicant
	for len(out) < n {
		if err := r.next(&a, 0, weather{}); err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return out, err
		}
		out = append(out, emitted{string(a.id), a.features[limitBal], a.fate})
	}
	return out, nil
}

func TestRowsAreReadAsTheyStand(t *testing.T) {
	f := func(name, text string, want ...emitted) {
		t.Helper()
		got, err := replayAll(t, text, false, 0, 100)
		require.NoError(t, err, name)
		require.Equal(t, want, got, name)
	}
	two := []emitted{{"A-1", 10_001, 1}, {"A-2", 10_002, 0}}
	plain := uciFile(2)
	f("plain", plain, two...)
	f("byte order mark", "\xef\xbb\xbf"+plain, two...)
	f("CRLF", strings.ReplaceAll(plain, "\n", "\r\n"), two...)
	f("quoted", `"`+strings.NewReplacer(",", `","`, "\n", "\"\n\"").Replace(strings.TrimSuffix(plain, "\n"))+`"`, two...)
	f("byte order mark before a quote", "\xef\xbb\xbf\""+strings.Replace(plain, ",", "\",", 1), two...)
	f("semicolons", strings.ReplaceAll(plain, ",", ";"), two...)
	f("spaces after commas", strings.ReplaceAll(plain, ",", ", "), two...)
	f("no line end at the end", strings.TrimSuffix(plain, "\n"), two...)
	f("blank lines", strings.ReplaceAll(plain, "\n", "\n\n"), two...)
	f("numbers as spreadsheets write them", strings.Replace(plain, "10001", "1.0001e4", 1), two...)
	f("whole numbers with a fraction", strings.Replace(plain, "10001", "10001.0", 1), two...)
	f("a value that is missing", strings.Replace(plain, "10001", " NA ", 1), emitted{"A-1", schemas.Missing, 1}, two[1])
	f("a label that is missing", strings.Replace(plain, "2000,1\n", "2000,\n", 1), emitted{"A-1", 10_001, unknown}, two[1])
	f("only column names", strings.Join(numberedNames(), ",")+",Y\n"+values(1)+",1\n", emitted{"A-000001", 10_001, 1})
	f("both headers of the UCI spreadsheet", ","+strings.Join(numberedNames(), ",")+",Y\n"+plain, two...)
	f("X1 … X23 above rows", strings.Join(numberedNames(), ",")+"\n"+values(1)+"\n"+values(2)+"\n",
		emitted{"A-000001", 10_001, unknown}, emitted{"A-000002", 10_002, unknown})
	f("an application_id column", "application_id,"+strings.Join(contractNames(), ",")+"\nloan/7 é,"+values(1)+"\n", emitted{"loan/7 é", 10_001, unknown})
	f("ids that are text", strings.NewReplacer("\n1,", "\nb-1,", "\n2,", "\n2.0,").Replace(plain), emitted{"A-b-1", 10_001, 1}, emitted{"A-2.0", 10_002, 0})
}

func TestWrongFilesSayWhereAndWhat(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		_, err := replayAll(t, text, false, 0, 100)
		require.Error(t, err)
		for _, w := range want {
			require.ErrorContains(t, err, w)
		}
		var row *RowError
		require.ErrorAs(t, err, &row)
		require.Equal(t, "rows.csv", filepath.Base(row.File))
	}
	two := uciFile(2)
	f("", "rows.csv line 1: the file is empty", "LIMIT_BAL")
	f("\xef\xbb\xbf", "the file is empty")
	f("\n\n", "the file is empty")
	f(uciNames+"\n", "line 2: the file holds no row")
	f("1,"+values(1)+",0\n", `line 1: "1,10001,`, "no known column name")
	f(strings.Replace(two, ",AGE", "", 1), "line 1: column AGE is missing")
	f(strings.Join(numberedNames(), ",")+"\n"+strings.Join(contractNames()[1:], ",")+",x\n", "line 2: column LIMIT_BAL is missing")
	f(strings.Replace(two, "2,10002,2,", "2,10002,3,", 1), `line 3, column SEX: "3": must be 1 … 2`)
	f(strings.Replace(two, "10002", "2796203", 1), `line 3, column LIMIT_BAL: "2796203": must be 1 … 2796202`)
	f(strings.Replace(two, "10002", "99999999999999999999", 1), `column LIMIT_BAL: "99999999999999999999": must be a whole number`)
	f(strings.Replace(two, "10002", "1e300", 1), "must be a whole number 1 … 2796202")
	f(strings.Replace(two, "10002", "10002.5", 1), `"10002.5": must be a whole number`)
	f(strings.Replace(two, "10002", "inf", 1), `"inf": must be a whole number`)
	f(strings.Replace(two, "10002", "many", 1), `line 3, column LIMIT_BAL: "many"`)
	f(strings.Replace(two, "10002", strings.Repeat("9é", 40), 1), "…\": must be a whole number")
	f(strings.Replace(two, "2000,0\n", "2000,2\n", 1), `line 3, column default.payment.next.month: "2": must be 0 … 1`)
	f(strings.Replace(two, "\n2,10002", "\n2,1,10002", 1), `line 3: the row has 26 fields, expected 25: one for each column name, with "," between them`)
	f(strings.ReplaceAll(strings.Replace(two, "\n2,10002", "\n2", 1), ",", ";"), `line 3: the row has 24 fields, expected 25: one for each column name, with ";" between them`)
	f(two+"3\n", "line 4: the row has 1 field, expected 25")
	f(strings.Replace(two, "\n2,10002", "\n2,\"10002", 1), "line 3: a field in quotes (\") does not end with one")
	f(strings.Replace(uciFile(9), "\n2,10002", "\n2,\"10002", 1), "line 3: a field in quotes (\") does not end with one")
	f(strings.NewReplacer("\n2,10002", "\n2,\"10002", "\n7,10007", "\n7,\"10007\"").Replace(uciFile(9)), "line 3: a field in quotes (\") does not end with one")
	f(strings.Replace(two, "\n2,10002", "\n2,10\"002", 1), "line 3: a field that does not begin with a quote (\") has one inside")
	f("\n\n"+strings.Replace(two, ",AGE", "", 1), "line 3: column AGE is missing")
	f("\n"+"1,"+values(1)+",0\n", "line 2: ", "no known column name")
	f(strings.Replace(two, "\n2,10002", "\n\"2,10002", 1), "line 3: ")
	f(strings.Replace(two, "\n2,", "\na\x01b,", 1), "line 3, column ID", "without control characters")
	f(strings.Replace(two, "\n2,", "\n"+strings.Repeat("x", 127)+",", 1), "line 3, column ID", "must be 1 … 128 bytes")
	f("application_id,"+strings.Join(contractNames(), ",")+"\n,"+values(1)+"\n", `line 2, column application_id: ""`)
	f("application_id,"+strings.Join(contractNames(), ",")+"\n\xff,"+values(1)+"\n", "column application_id", "UTF-8")
}

// Rows that differ in what their ID column says are different applicants.
func TestReplay_TakesIDsAsTheFileHasThem(t *testing.T) {
	ids := []string{"7", " 7", "007", "7 ", "7.0", "7e0", "+7", "١"}
	text := uciNames + "\n"
	var want []string
	for i, id := range ids {
		text += id + "," + values(i) + ",0\n"
		want = append(want, "A-"+id)
	}
	got, err := replayAll(t, text, false, 0, 100)
	require.NoError(t, err)
	for i := range want {
		require.Equal(t, want[i], got[i].id)
	}
	require.Len(t, got, len(want))
}

// What is of nobody is refused before it becomes an applicant.
func TestReplay_RefusesRowsOfNobody(t *testing.T) {
	commas := strings.Repeat(",", 24)
	f := func(text string, read int, want string) {
		t.Helper()
		for _, change := range []func(string) string{
			func(s string) string { return s },
			func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") },
			func(s string) string { return strings.ReplaceAll(s, ",", ";") },
		} {
			got, err := replayAll(t, change(text), false, 0, 100)
			var row *RowError
			require.ErrorAs(t, err, &row)
			require.ErrorContains(t, err, want)
			require.NotEmpty(t, row.Column)
			require.Len(t, got, read)
		}
	}
	f(uciNames+"\n,"+values(1)+",0\n,"+values(2)+",0\n", 0, `line 2, column ID: "": is empty, and every row needs an id`)
	f(uciNames+"\n1,"+values(1)+",0\n \t ,"+values(2)+",0\n", 1, `line 3, column ID: " \t ": is empty, and every row needs an id`)
	f(uciNames+"\n1,"+values(1)+",0\n"+commas+"\n", 1, `line 3, column ID: "": the row is empty: delete the whole row`)
	f(uciNames+"\n1,"+values(1)+",0\n"+strings.Repeat(" ,", 24)+" \n2,"+values(2)+",0\n", 1, "line 3, column ID")
	f(strings.Join(contractNames(), ",")+"\n"+values(1)+"\n"+commas[:22]+"\n", 1, "line 3, column limit_bal: \"\": the row is empty")
	f(uciNames+"\n1,"+values(1)+",0\n \t \n2,"+values(2)+",0\n", 1, `line 3, column ID: "": the row is empty`) // a line of blanks
	f("application_id,"+strings.Join(contractNames(), ",")+"\n,"+values(1)+"\n", 0, `line 2, column application_id: "": is empty, and every row needs an id`)
	f("application_id,"+strings.Join(contractNames(), ",")+"\n\t,"+values(1)+"\n", 0, `line 2, column application_id: "\t": the id "\t" must be`)
	f(uciNames+"\n1,"+values(1)+",0\n7"+commas+"\n", 1, `line 3, column ID: "7": the row has an id and nothing else: delete it, or write NA`)
	f("application_id,"+strings.Join(contractNames(), ",")+"\n7"+commas[:23]+"\n", 0, `line 2, column application_id: "7": the row has an id and nothing else`)
}

// Whoever says of an applicant that nothing is known means one: by a word, or by what else
// the row holds.
func TestReplay_TakesAnApplicantOfWhomNothingIsKnown(t *testing.T) {
	for _, row := range []string{"7,NA" + strings.Repeat(",", 23), "7" + strings.Repeat(",", 23) + ",0"} {
		got, err := replayAll(t, uciNames+"\n"+row+"\n", false, 0, 100)
		require.NoError(t, err)
		require.Len(t, got, 1)
	}
}

// endless is a file that is larger than any memory: n times the same, then nothing.
func endless(t testing.TB, start, again string, n int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rows.csv")
	file, err := os.Create(path)
	require.NoError(t, err)
	_, err = file.WriteString(start)
	require.NoError(t, err)
	for range n {
		_, err = file.WriteString(again)
		require.NoError(t, err)
	}
	require.NoError(t, file.Close())
	return path
}

func TestReplay_BoundsARow(t *testing.T) {
	const many = 64 // MiB
	block := strings.Repeat("1234567,", 1<<17)
	for name, path := range map[string]string{
		"a header without an end":       endless(t, "ID,", block, many),
		"the first row below":           endless(t, uciFile(0), block, many),
		"a row without an end":          endless(t, uciFile(2), block, many),
		"a field without an end":        endless(t, uciFile(2), strings.Repeat("x", 1<<20), many),
		"a quote that nothing closes":   endless(t, uciFile(2)+`"`, strings.Repeat("1,2\n", 1<<18), many),
		"zeroes":                        endless(t, uciFile(2), strings.Repeat("\x00", 1<<20), many),
		"just too long":                 endless(t, uciFile(2), strings.Repeat("x", maxRow)+"\n", 1),
		"too long in a field of quotes": endless(t, uciFile(2), `"`+strings.Repeat("x\n", maxRow/2)+"\"\n", 1),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := func() error {
			r, err := openReplay(path, "A-", false)
			if err != nil {
				return err
			}
			defer func() { require.NoError(t, r.Close()) }()
			var a applicant
			for err == nil {
				err = r.next(&a, 0, weather{})
			}
			return err
		}()
		runtime.ReadMemStats(&after)
		var row *RowError
		require.ErrorAs(t, err, &row, name)
		require.ErrorContains(t, err, "exceeds 1048576 bytes", name)
		where := fmt.Sprintf(" line %d: the row after this line exceeds", strings.Count(uciFile(2), "\n"))
		switch name {
		case "a header without an end":
			where = " line 1: the file's first row exceeds"
		case "the first row below":
			where = " line 1: the row after this line exceeds"
		}
		require.ErrorContains(t, err, where, name)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(48<<20), name)
	}
	// As long as a row may be, it is read, however many there are.
	wide := values(1)
	long := wide + strings.Repeat(" ", maxRow-len(wide)-1) + "\n"
	got, err := replayAll(t, strings.Join(contractNames(), ",")+"\n"+strings.Repeat(long, 5), false, 0, 100)
	require.NoError(t, err)
	require.Len(t, got, 5)
}

func TestAFileThatIsNotThereIsNamed(t *testing.T) {
	_, err := openReplay(filepath.Join(t.TempDir(), "absent.csv"), "A-", false)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorContains(t, err, "absent.csv")
	dir := t.TempDir()
	_, err = openReplay(dir, "A-", false)
	require.ErrorContains(t, err, dir)
}

func TestALoopedFileGivesNewIDsEveryPass(t *testing.T) {
	got, err := replayAll(t, uciFile(2), true, 0, 7)
	require.NoError(t, err)
	var ids []string
	for _, e := range got {
		ids = append(ids, e.id)
	}
	require.Equal(t, []string{"A-1", "A-2", "A-1.2", "A-2.2", "A-1.3", "A-2.3", "A-1.4"}, ids)
}

func TestStartPassesOverRows(t *testing.T) {
	whole, err := replayAll(t, uciFile(5), true, 0, 40)
	require.NoError(t, err)
	for start := range uint64(30) {
		got, err := replayAll(t, uciFile(5), true, start, 3)
		require.NoError(t, err)
		require.Equal(t, whole[start:start+3], got, "looped, start %d", start)
	}
	got, err := replayAll(t, uciFile(5), true, 5_000_000_000_000, 1)
	require.NoError(t, err)
	require.Equal(t, "A-1.1000000000001", got[0].id, "whole passes at once")

	got, err = replayAll(t, uciFile(5), false, 3, 40)
	require.NoError(t, err)
	require.Equal(t, whole[3:5], got)
	got, err = replayAll(t, uciFile(5), false, 5, 40)
	require.NoError(t, err)
	require.Empty(t, got, "going on at the end")
	_, err = replayAll(t, uciFile(5), false, 6, 40)
	require.ErrorContains(t, err, "start 6: ")
	require.ErrorContains(t, err, "has only 5 rows")
}

// The UCI file stands for itself where DATASET names it; a file like it always.
func TestEveryRowOfTheDatasetIsAValidApplication(t *testing.T) {
	files := map[string]int{writeFile(t, uciFile(1_000)): 1_000}
	if path := os.Getenv("DATASET"); path != "" {
		files[path] = 30_000
	}
	for path, rows := range files {
		r, err := openReplay(path, "A-", false)
		require.NoError(t, err)
		require.True(t, r.hasLabel())
		var (
			a       applicant
			decoded schemas.Application
			buf     []byte
			n       int
		)
		for ; ; n++ {
			err := r.next(&a, uint64(n), weather{})
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err)
			require.Equal(t, "A-"+strconv.Itoa(n+1), string(a.id))
			require.NotEqual(t, unknown, a.fate)
			app := schemas.Application{ApplicationID: string(a.id), AppliedAt: 1_800_000_000_000_000, Features: a.features}
			buf = schemas.AppendApplication(buf[:0], &app)
			require.NoError(t, schemas.DecodeApplication(buf, &decoded), "row %d", n+1)
			require.Equal(t, app, decoded)
		}
		require.Equal(t, rows, n, path)
		require.NoError(t, r.Close())
	}
}

func FuzzReplay(f *testing.F) {
	f.Add([]byte(uciFile(3)))
	f.Add([]byte("\xef\xbb\xbf" + strings.ReplaceAll(uciFile(2), ",", ";")))
	f.Add([]byte("," + strings.Join(numberedNames(), ",") + ",Y\r\n" + uciFile(1)))
	f.Add([]byte("application_id," + strings.Join(contractNames(), ",") + "\n\"a\nb\"," + values(1) + "\n"))
	f.Add([]byte(strings.Join(numberedNames(), ",") + "\n" + values(1) + "\n"))
	path := filepath.Join(f.TempDir(), strconv.Itoa(os.Getpid())+".csv")
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := openReplay(path, "A-", true)
		if err != nil {
			return
		}
		defer func() { _ = r.Close() }()
		var (
			a       applicant
			decoded schemas.Application
			first   []schemas.Application
		)
		for n := range 200 {
			if err := r.next(&a, 0, weather{}); err != nil {
				if errors.Is(err, io.EOF) {
					t.Fatal("a looped file has no end")
				}
				return
			}
			app := schemas.Application{ApplicationID: string(a.id), Features: a.features}
			if err := schemas.DecodeApplication(schemas.AppendApplication(nil, &app), &decoded); err != nil || decoded != app {
				t.Fatalf("row %d is no valid application: %v\n%+v", n, err, app)
			}
			if r.pass == 1 {
				first = append(first, app)
				continue
			}
			was := first[n%len(first)]
			if was.Features != app.Features || app.ApplicationID != was.ApplicationID+"."+strconv.FormatUint(r.pass, 10) {
				t.Fatalf("pass %d gives %+v where the first gave %+v", r.pass, app, was)
			}
		}
	})
}

func TestRowsSayWhoDefaulted(t *testing.T) {
	f := func(text string, label bool, want ...int8) {
		t.Helper()
		rows, err := OpenRows(writeFile(t, text), "A-")
		require.NoError(t, err)
		defer func() { require.NoError(t, rows.Close()) }()
		require.Equal(t, label, rows.HasLabel())
		var a schemas.Application
		for _, defaulted := range want {
			require.NoError(t, rows.Next(&a))
			require.Equal(t, defaulted, rows.Defaulted())
		}
		require.ErrorIs(t, rows.Next(&a), io.EOF)
	}
	f(uciFile(3), true, 1, 0, 1)
	// As dataset export writes them: other columns are passed over.
	exported := "application_id,decided_at,decision," + strings.Join(contractNames(), ",") + ",default\n"
	row := func(id, label string) string {
		return id + ",2026-11-23T10:00:00Z,approve," + values(1) + "," + label + "\n"
	}
	f(exported+row("a", "1")+row("b", "")+row("c", "0"), true, 1, -1, 0)
	f(strings.ReplaceAll(exported, ",default", "")+"a,2026-11-23T10:00:00Z,approve,"+values(1)+"\n", false, -1)
}
