// Package browsertest drives a real Chromium for tests. It owns the browser's process, one for each test binary, and what a
// test may do with it: tabs, clicks, waiting, popups, cookies, and the complaints that a page leaves in the console. What a
// page should do is left to the tests. Its law: a test waits for what it wants to see and never for time to pass, and no
// browser leaves the machine.
package browsertest
