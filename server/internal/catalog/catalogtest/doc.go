// Package catalogtest is the suite that every catalog must pass, and a catalog to test against: a server that answers the
// part of the Backstage catalog's REST API that a sign-in needs, with the real one's filter syntax and its weaknesses, fails
// in every way on demand, and can check plugin tokens as the real one does. It leaves to the tests what is looked up and
// with which credentials. Its law: a fault is announced by the test, never a surprise.
package catalogtest
