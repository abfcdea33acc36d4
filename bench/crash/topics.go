package crash

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/segmentio/kafka-go"
)

// readPartition visits every record of a partition, with kafka-go's own reader.
func readPartition(ctx context.Context, brokers []string, topic string, n int, visit func(*kafka.Message) error) error {
	end, err := lastOffset(ctx, brokers, topic, n)
	if err != nil || end == 0 {
		return err
	}
	r := kafka.NewReader(kafka.ReaderConfig{Brokers: brokers, Topic: topic, Partition: n, MaxBytes: 8 << 20})
	defer r.Close()
	for {
		m, err := r.ReadMessage(ctx)
		if err != nil {
			return fmt.Errorf("%s/%d: %w", topic, n, err)
		}
		if err := visit(&m); err != nil {
			return fmt.Errorf("%s/%d, offset %d: %w", topic, n, m.Offset, err)
		}
		if m.Offset >= end-1 {
			return nil
		}
	}
}

// lastOffset is the offset behind the partition's last record.
func lastOffset(ctx context.Context, brokers []string, topic string, n int) (int64, error) {
	c, err := kafka.DialLeader(ctx, "tcp", brokers[0], topic, n)
	if err != nil {
		return 0, fmt.Errorf("%s/%d: %w", topic, n, err)
	}
	defer c.Close()
	return c.ReadLastOffset()
}

// readEvents reads a partition of the events' topic as the readers' rule says: of each run, what is not greater than the last sequence is a repetition.
func readEvents(ctx context.Context, brokers []string, topic string, n int) (log []record, repeats int, err error) {
	last := map[string]string{}
	err = readPartition(ctx, brokers, topic, n, func(m *kafka.Message) error {
		var r record
		if err := json.Unmarshal(m.Value, &r); err != nil {
			return err
		}
		if r.Sequence <= last[r.Run] {
			repeats++
			return nil
		}
		last[r.Run] = r.Sequence
		if r.number, err = clickNumber(r.Data.UserAgent); err != nil {
			return err
		}
		if r.Data.Link.Original == "" { // left out where it is the destination
			r.Data.Link.Original = r.Data.Link.Destination
		}
		log = append(log, r)
		return nil
	})
	return log, repeats, err
}

// readUnique reads a partition of the topic of unique clicks as the readers' rule says: what has no greater source offset than the last is a repetition. A key that is
// first twice is a fault.
func (e *evidence) readUnique(ctx context.Context, brokers []string, topic string, n int, decisions map[key]*decision, complain func(string, ...any)) (repeats int, err error) {
	last := int64(-1)
	err = readPartition(ctx, brokers, topic, n, func(m *kafka.Message) error {
		headers := map[string]string{}
		for _, h := range m.Headers {
			headers[h.Key] = string(h.Value)
		}
		source, err := strconv.ParseInt(headers["source-offset"], 10, 64)
		if err != nil {
			return err
		}
		if source <= last {
			repeats++
			return nil
		}
		last = source
		var r record
		if err := json.Unmarshal(m.Value, &r); err != nil {
			return err
		}
		number, err := clickNumber(r.Data.UserAgent)
		if err != nil {
			return err
		}
		if number < 0 || number >= len(e.clicks) {
			complain("%s is a first and was never sent", r.ID)
			return nil
		}
		c := e.clicks[number]
		k := c.mail.key(c.link)
		if decisions[k] != nil || headers["first"] != "any,person" { // every click of the load is a person's
			complain("%v: %s is a first (%s) beside %v", k, r.ID, headers["first"], decisions[k])
			return nil
		}
		decisions[k] = &decision{any: r.ID, person: r.ID}
		return nil
	})
	return repeats, err
}
