package topic

import (
	"context"
	"errors"
	"fmt"

	"waypost/configs/fault"
	"waypost/edge/ship"
)

// output is what one attempt, or one decision to wait, leaves in topics. Once it stands there, one delivery of record has ended.
type output struct {
	records []topicRecord
	record  *entry
}

type topicRecord struct {
	topic  string
	record ship.Record
}

// write hands an output to the writer; once nothing is kept any more it goes nowhere, as if the attempt had not been made. The caller is a reader of the partition, or
// has begun an attempt of its: both are waited for before outputs is closed.
func (p *partition) write(o output) {
	select {
	case p.outputs <- o:
	case <-p.keeping.Done():
	}
}

// writing produces the outputs, and ends their deliveries. As many as may end without being part of the committed positions are written at a time; before others are, the positions are
// committed, unless ctx, the generation's, is over: what is written then is committed at its end.
func (p *partition) writing(ctx context.Context) {
	var batch []output
	share := int64(max(mostUnmarked/len(p.g.partitions), 1))
	for o := range p.outputs {
		batch = append(batch[:0], o)
		for more := true; more && int64(len(batch)) < share-p.unmarked.Load(); {
			select {
			case o, ok := <-p.outputs:
				if more = ok; ok {
					batch = append(batch, o)
				}
			default:
				more = false
			}
		}
		if err := p.produce(batch); err != nil {
			if errors.Is(err, ship.ErrRefused) {
				p.c.o.Metrics.KafkaAlarms.WithLabelValues("refused").Inc()
				p.c.o.Logger.Error("webhooks stopped", "partition", p.n, "reason", err)
				p.c.o.Trouble(p.name, fmt.Sprintf("%s stopped: %v", p.name, err))
			}
			p.cut() // nothing is attempted whose end could not be kept
			for range p.outputs {
			}
			return
		}
		for i := range batch {
			batch[i].record.ended()
		}
		if p.unmarked.Add(int64(len(batch))) >= share {
			p.g.await(ctx)
		}
		clear(batch)
	}
}

// produce writes each topic's records, and returns when all are there.
func (p *partition) produce(batch []output) error {
	byTopic := map[string][]ship.Record{}
	for i := range batch {
		for _, r := range batch[i].records {
			byTopic[r.topic] = append(byTopic[r.topic], r.record)
		}
	}
	fault.Point("dispatch.produce")
	for name, records := range byTopic {
		if _, err := p.c.producers[name].Produce(p.keeping, p.n, records); err != nil {
			return fmt.Errorf("%s/%d: %w", name, p.n, err)
		}
	}
	fault.Point("dispatch.produced")
	return nil
}
