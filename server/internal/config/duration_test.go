package config

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParseDuration(t *testing.T) {
	tests := []struct {
		text string
		want time.Duration
	}{
		{"10m", 10 * time.Minute},
		{"1 hour", time.Hour},
		{"2 days", 48 * time.Hour},
		{"1.5h", 90 * time.Minute},
		{".5h", 30 * time.Minute},
		{"100ms", 100 * time.Millisecond},
		{"1w", 168 * time.Hour},
		{"1 year", 8766 * time.Hour},
		{" 30 SECONDS ", 30 * time.Second},
		{"0s", 0},
		{"PT30M", 30 * time.Minute},
		{"P1D", 24 * time.Hour},
		{"P1Y2M3W4DT5H6M7.5S", (365+60+21+4)*24*time.Hour + 5*time.Hour + 6*time.Minute + 7500*time.Millisecond},
		{"PT0,5H", 30 * time.Minute},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			if got, err := ParseDuration(tt.text); err != nil || got != tt.want {
				t.Errorf("got %v, %v, want %v", got, err, tt.want)
			}
		})
	}
}

func TestParseDurationRefuses(t *testing.T) {
	tests := []struct {
		text string
		want error
	}{
		{"", errDurationForm},
		{"10", errDurationUnit},
		{"1.5", errDurationUnit},
		{"10 parsecs", errDurationUnit},
		{"-5m", errDurationForm},
		{"soon", errDurationForm},
		{"1h30m", errDurationForm},
		{"P", errDurationForm},
		{"PT", errDurationForm},
		{"P1DT", errDurationForm},
		{"P1H", errDurationForm},
		{"P-1D", errDurationForm},
		{"1.m", errDurationForm},
		{"300 years", errDurationRange},
		{"P300Y", errDurationRange},
		{strings.Repeat("9", 400) + "s", errDurationForm},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			if got, err := ParseDuration(tt.text); err != tt.want || got != 0 {
				t.Errorf("got %v, %v, want %v", got, err, tt.want)
			}
		})
	}
}

func TestDurationObjects(t *testing.T) {
	tests := []struct {
		yaml, want string
	}{
		{"{hours: 1, minutes: 30}", "1h30m0s"},
		{"{years: 1, months: 1, weeks: 1, days: 1}", "9672h0m0s"},
		{"{seconds: 1.5, milliseconds: '250'}", "1.75s"},
		{"{minutes: 5, seconds: null}", "5m0s"},
		{"{}", "want one or more of years, months, weeks, days, hours, minutes, seconds, milliseconds and nothing else"},
		{"{minute: 1}", "want one or more of years, months, weeks, days, hours, minutes, seconds, milliseconds and nothing else"},
		{"{hours: 1, minute: 1}", "want one or more of years, months, weeks, days, hours, minutes, seconds, milliseconds and nothing else"},
		{"{hours: true}", "want a number of hours, found a boolean"},
		{"{hours: -1}", errDurationForm.Error()},
		{"{hours: x}", errDurationForm.Error()},
		{"{years: 1e300}", errDurationRange.Error()},
		{"[1]", errDurationForm.Error()},
		{"10", errDurationUnit.Error()},
		{"true", errDurationForm.Error()},
	}
	for _, tt := range tests {
		t.Run(tt.yaml, func(t *testing.T) {
			var ps problems
			d, err := durationOf(parse("f", []byte("a: "+tt.yaml), &ps).get("a"))
			got := d.String()
			if err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// The three forms of one duration are one duration.
func TestDurationFormsAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seconds := rapid.IntRange(0, 1_000_000_000).Draw(t, "seconds")
		want := time.Duration(seconds) * time.Second
		for _, yaml := range []string{"%d seconds", "PT%dS", "{seconds: %d}", "{milliseconds: %d000}"} {
			var ps problems
			n := parse("f", fmt.Appendf(nil, "a: "+yaml, seconds), &ps)
			if got, err := durationOf(n.get("a")); err != nil || got != want {
				t.Errorf("%s: got %v, %v, want %v", yaml, got, err, want)
			}
		}
	})
}

func FuzzParseDuration(f *testing.F) {
	for _, seed := range []string{"10m", "1.5 hours", "PT30M", "P1Y2M3W4DT5H6M7,5S", "-1s", "P", "9e9s", "300y", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := ParseDuration(s)
		if d < 0 || err != nil && d != 0 {
			t.Errorf("got %v, %v", d, err)
		}
	})
}
