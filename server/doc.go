// Command server is Stagedoor: the Backstage auth backend as one binary. It reads the configuration, builds the rooms, serves
// until it is told to stop, and drains. It leaves every decision about a request to the rooms. Its law: whatever is wrong with the
// configuration is said at start, all of it, with where it stands and what to do.
package main
