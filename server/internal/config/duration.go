package config

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

var (
	errDurationForm  = errors.New("want a duration: 90m, PT1H30M, or an object such as {hours: 1, minutes: 30}")
	errDurationUnit  = errors.New("want a duration with a unit, such as 30s, 90m or 2 days")
	errDurationRange = errors.New("want a duration of less than 290 years")
)

const day = 24 * time.Hour

// objectUnits are the keys of a duration object. Months and years have Backstage's fixed lengths.
var objectUnits = []struct {
	name string
	unit time.Duration
}{
	{"years", 365 * day},
	{"months", 30 * day},
	{"weeks", 7 * day},
	{"days", day},
	{"hours", time.Hour},
	{"minutes", time.Minute},
	{"seconds", time.Second},
	{"milliseconds", time.Millisecond},
}

// textUnits are the words of human text. A year is 365.25 days there, as in the library that Backstage uses.
var textUnits = []struct {
	words string
	unit  time.Duration
}{
	{"y yr yrs year years", 365*day + day/4},
	{"w week weeks", 7 * day},
	{"d day days", day},
	{"h hr hrs hour hours", time.Hour},
	{"m min mins minute minutes", time.Minute},
	{"s sec secs second seconds", time.Second},
	{"ms msec msecs millisecond milliseconds", time.Millisecond},
}

var (
	humanText = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?|\.[0-9]+) *([A-Za-z]*)$`)
	// isoText is an ISO 8601 duration. Any part may have a fraction.
	isoText = regexp.MustCompile(strings.ReplaceAll(
		`^P(?:#Y)?(?:#M)?(?:#W)?(?:#D)?(?:T(?:#H)?(?:#M)?(?:#S)?)?$`, "#", `([0-9]+(?:[.,][0-9]+)?)`))
)

// ParseDuration reads a duration as Backstage writes it in one string (contract/core.md C3): ISO 8601 (PT30M, P1D), or a
// number and a unit (10m, 1 hour, 1.5h, 100ms). A number without a unit is an error, and so is a negative duration. The
// error does not repeat s.
func ParseDuration(s string) (time.Duration, error) {
	s = strings.TrimSpace(s)
	if strings.HasPrefix(s, "P") {
		return parseISODuration(s)
	}
	m := humanText.FindStringSubmatch(s)
	if m == nil {
		return 0, errDurationForm
	}
	for _, u := range textUnits {
		if slices.Contains(strings.Fields(u.words), strings.ToLower(m[2])) {
			var sum durationSum
			sum.add(m[1], u.unit)
			return sum.total()
		}
	}
	return 0, errDurationUnit
}

func parseISODuration(s string) (time.Duration, error) {
	m := isoText.FindStringSubmatch(s)
	if m == nil || strings.HasSuffix(s, "P") || strings.HasSuffix(s, "T") {
		return 0, errDurationForm
	}
	var sum durationSum
	for i, part := range m[1:] {
		if part != "" {
			// The groups follow the order of objectUnits, years to seconds.
			sum.add(strings.Replace(part, ",", ".", 1), objectUnits[i].unit)
		}
	}
	return sum.total()
}

// durationSum adds parts, in nanoseconds.
type durationSum struct {
	ns  float64
	err error
}

func (d *durationSum) add(count string, unit time.Duration) {
	f, err := strconv.ParseFloat(count, 64)
	if err != nil || f < 0 || math.IsNaN(f) {
		d.err = errDurationForm
		return
	}
	d.ns += f * float64(unit)
}

func (d *durationSum) total() (time.Duration, error) {
	switch {
	case d.err != nil:
		return 0, d.err
	case d.ns >= math.MaxInt64:
		return 0, errDurationRange
	}
	return time.Duration(math.Round(d.ns)), nil
}

// durationOf reads any of the three forms.
func durationOf(n *node) (time.Duration, error) {
	switch n.form {
	case text:
		return ParseDuration(n.text)
	case number:
		return 0, errDurationUnit
	case object:
		return durationObject(n)
	}
	return 0, errDurationForm
}

func durationObject(n *node) (time.Duration, error) {
	var sum durationSum
	known := 0
	for _, u := range objectUnits {
		part := n.get(u.name)
		if part.absent() {
			continue
		}
		known++
		if part.form != number && part.form != text {
			return 0, fmt.Errorf("want a number of %s, found %s", u.name, part.form)
		}
		sum.add(strings.TrimSpace(part.text), u.unit)
	}
	if known == 0 || known < len(n.fields)-absentFields(n) {
		return 0, errors.New("want one or more of years, months, weeks, days, hours, minutes, seconds, milliseconds and nothing else")
	}
	return sum.total()
}

func absentFields(n *node) int {
	count := 0
	for _, f := range n.fields {
		if f.value.absent() {
			count++
		}
	}
	return count
}
