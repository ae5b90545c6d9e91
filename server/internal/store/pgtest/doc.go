// Package pgtest is a PostgreSQL server for tests: a throw-away cluster on this machine, made from the installed binaries, that a test
// may stop and kill. It owns the server's life and leaves to the tests what they do with it. Its law: when the test process is gone,
// however it went, so are the server and its files.
package pgtest
