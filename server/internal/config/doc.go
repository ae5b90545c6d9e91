// Package config turns Backstage's app-config files and the environment into small typed structs, checked once at start.
//
// It owns finding and reading the files, includes and substitutions, the merge, the defaults, and every message about
// a wrong setting. What a provider's keys mean it leaves to that provider, which decodes its own entry with struct tags;
// whether an entry has environments it leaves to whoever knows the provider's kind. Keys that belong to other parts of
// Backstage are left alone without a word.
//
// Its law: every problem is listed at once, each with file, line, column and dotted key, and none repeats a value.
//
// # Struct tags
//
// A struct that config decodes into names its keys in tags: `config:"name,option,…"`. An exported field without a tag is
// no key; an embedded struct without a tag contributes its fields as if they stood in the outer struct. A key that is
// absent, null, or made of an unset environment variable leaves its field as it was, so defaults are set beforehand.
//
//	Go type                   accepts
//	string                    a string that is not empty; a number is not a string
//	bool                      a boolean, or the words true/false, yes/no, on/off, y/n, t/f, 1/0
//	int…, uint…, float64      a number, or a string that holds one
//	time.Duration             {hours: 1, minutes: 30}, PT1H30M, or 90m; see ParseDuration
//	[]T, map[string]T         a list, an object, of T
//	struct                    an object; an absent one is read as an empty one
//	*T                        T; nil if the key is absent
//	any                       anything: string, bool, int64, float64, []any, map[string]any
//
// The options are:
//
//	required     the key must be there
//	list         []T: a single T stands for a list of one
//	words        []string: a string is split at white space, commas and bars
//	millis       time.Duration: a bare number counts milliseconds
//	file         string: a path, relative to the directory of the config file that holds it
//	oneof=a|b    string: one of these
//
// A decoding is strict or not. A strict one reports every key, however deep, that no tag names.
package config
