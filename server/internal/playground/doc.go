// Package playground owns the development page: one HTML document, its script and its style sheet, which together are the
// smallest complete client of the sign-in API. Whether the page is served at all, and everything that it talks to, is left
// to the server that mounts it. Its law: the page keeps no token beyond its own life, loads nothing from elsewhere, and
// shows whatever it is told as text, never as markup.
package playground
