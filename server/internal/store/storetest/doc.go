// Package storetest is the suite that every database behind signin's and op's store interfaces must pass, whatever its dialect.
// It owns what those interfaces promise, as tests; how a database is made, and what only one dialect can show, it leaves to the
// package that implements them. Its law: a bug of one database becomes a case for all.
package storetest
