// Package fault is an error with a reader: a kind that decides the status, a message for the caller, a stable code for
// whoever looks it up, and a cause for the log. The rooms that know what went wrong classify it once; api renders it once.
// Its law: nothing secret and no claim value stands in Code or Message.
package fault
