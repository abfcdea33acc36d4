// Package kafka runs a real Apache Kafka on loopback, one node or three, without Docker: for `make run-kafka`, for tests that must not trust an
// imitation, and for measurements.
//
// The programs are Kafka's own jars, pinned by pom.xml, fetched once through Maven and held to the SHA-256 sums in jars.sha256 at every start. Java 17
// or newer runs them, in KRaft mode: each node is broker and controller.
//
// A cluster owns one directory:
//
//	DIR/cluster.json       what was asked for, the ports, and which processes run (number and start time, so that no other's is ever signalled)
//	DIR/node-N/            server.properties, data/, and log: what the node printed, over all its lives
//	DIR/tls/               with Options.Secure: ca.pem, server.pem (key and certificate), client.pem
//
// Every node has a plain listener. With Options.Secure there are three more: TLS (client certificates are looked at where given), SASL
// (PLAIN and SCRAM-SHA-512, over plain TCP) and SASL over TLS, for Options.Users. With Options.Authorizer users may only do what ACLs allow;
// who comes over the plain listener is the administrator.
//
// A test's cluster dies with the test's process. `bench kafka up` leaves one running that `bench kafka down` ends.
package kafka
