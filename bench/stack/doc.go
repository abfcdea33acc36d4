// Package stack starts the real programs of Waypost as processes on loopback: one launcher for `make run`, the end-to-end tests, the crash
// test and the load runs.
//
// A Stack owns one directory:
//
//	DIR/link.keys       the key file, made by `mint keys init` when it is not there
//	DIR/tenants.yaml    written at each start, like the settings below
//	DIR/edge.yaml       DIR/edge-2.yaml ...
//	DIR/mint.yaml
//	DIR/sink.yaml       DIR/sink-2.yaml ...
//	DIR/journal         DIR/journal-2 ...: one directory an edge; every sink reads them all
//	DIR/store           DIR/store-2 ...
//	DIR/log/NAME.log    what the program NAME printed, over all its lives
//
// New chooses the ports, so that addresses are known before anything runs and stay the same over restarts. They lie below the range that the
// kernel takes for outgoing connections: a killed program's port cannot be taken by a client's connection before its next life.
//
// Children get a process group of their own (a Ctrl-C in the terminal reaches the launcher only, which stops them in order) and, on Linux,
// die with the launcher.
package stack
