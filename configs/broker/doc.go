// Package broker is the way to Apache Kafka that edge and sink share: the connection that the settings ask for, what its errors mean in one line, and the
// contract of the topics, as data, with the check that holds a cluster to it.
package broker
