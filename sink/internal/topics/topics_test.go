package topics

import (
	"bytes"
	"testing"

	"waypost/configs"
	"waypost/configs/broker"
)

// What the commands do with a broker is tested on a real one, in bench/kafka.
func TestWithoutABroker(t *testing.T) {
	off := configs.DefaultKafka()
	nobody := configs.DefaultKafka()
	nobody.Brokers = []string{"127.0.0.1:1"}
	for name, run := range map[string]func(*Cluster) error{"create": createCommand{}.Run, "check": checkCommand{}.Run, "describe": describeCommand{}.Run} {
		var out bytes.Buffer
		if err := run(&Cluster{Settings: off, Out: &out}); err != broker.ErrOff {
			t.Errorf("%s without brokers: %v", name, err)
		}
		if err := run(&Cluster{Settings: nobody, Out: &out}); err == nil || err.Error() != "127.0.0.1:1: unreachable: connection refused" {
			t.Errorf("%s with nobody there: %v", name, err)
		}
		if out.Len() > 0 {
			t.Errorf("%s prints %q", name, &out)
		}
	}
}
