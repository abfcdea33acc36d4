package topic

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"

	"waypost/configs/fault"
	"waypost/sink/internal/kafkalog"
)

// At the end of a generation what is under way may end, and what has ended must be kept: else it would be sent again. All of it has to be over before the group's session is, in which
// nobody else begins.
const (
	attemptsWithin  = time.Second
	outcomesWithin  = 2500 * time.Millisecond
	positionsWithin = 3500 * time.Millisecond
)

const (
	// mostUnmarked is how many deliveries of a sink may have ended and be no part of the committed positions: what a crash repeats of them. One partition has its share.
	mostUnmarked  = 1000
	refresh       = 10 * time.Minute // positions are committed anew so often, moved or not: brokers forget those that nobody commits for days
	commitTrouble = "webhooks: positions"
)

// generation is what the group gave this member, until it is divided anew.
type generation struct {
	c          *Courier
	id         int
	member     string
	partitions []*partition
	full       chan chan struct{} // asks for a commit; what is sent is closed when it is made
}

// await returns when all that has ended is committed, or the generation is over.
func (g *generation) await(ctx context.Context) {
	committed := make(chan struct{})
	select {
	case g.full <- committed:
	case <-ctx.Done():
		return
	}
	select {
	case <-committed:
	case <-ctx.Done():
	}
}

// commit stores the positions as they move, and a last time when every partition has ended.
func (g *generation) commit(ctx context.Context) {
	tick := time.NewTicker(max(g.c.o.Settings.MarkEvery, 10*time.Millisecond))
	defer tick.Stop()
	stored, whole := map[place]kafka.OffsetCommit{}, time.Now()
	var waiting []chan struct{}
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			continue
		case <-tick.C:
		case committed := <-g.full:
			waiting = append(waiting, committed)
		}
		if time.Since(whole) > refresh {
			clear(stored)
			whole = time.Now()
		}
		if err := g.store(ctx, stored); err != nil && ctx.Err() == nil {
			g.c.o.Metrics.PositionErrors.Inc()
			g.c.o.Trouble(commitTrouble, fmt.Sprintf("webhooks: positions cannot be committed to group %s: %v", g.c.o.Group, err))
			g.c.warn("positions of webhooks not committed: trying again", "group", g.c.o.Group, "generation", g.id, "error", err)
			continue
		}
		for _, committed := range waiting {
			close(committed)
		}
		waiting = waiting[:0]
	}
	last, cancel := context.WithTimeout(context.Background(), positionsWithin)
	defer cancel()
	for _, p := range g.partitions {
		<-p.ended
	}
	err := g.store(last, stored)
	for err != nil && last.Err() == nil && !replaced(err) {
		kafkalog.Wait(last, firstPause)
		err = g.store(last, stored)
	}
	if err != nil {
		g.c.o.Metrics.PositionErrors.Inc()
		g.c.warn("the last positions of webhooks are not committed: what they pass over is sent again", "generation", g.id, "error", err)
	}
	g.c.o.Trouble(commitTrouble, "")
}

// replaced says that the group goes on without this generation.
func replaced(err error) bool {
	return errors.Is(err, kafka.IllegalGeneration) || errors.Is(err, kafka.UnknownMemberId) || errors.Is(err, kafka.RebalanceInProgress)
}

// place is a partition of a topic.
type place struct {
	topic     string
	partition int
}

// store commits what differs from stored.
func (g *generation) store(ctx context.Context, stored map[place]kafka.OffsetCommit) error {
	moved := map[string][]kafka.OffsetCommit{}
	marked := make([]int64, len(g.partitions))
	for i, p := range g.partitions {
		marked[i] = p.unmarked.Load() // before the positions: what ends meanwhile counts for the next commit
		for _, t := range p.positions() {
			s := t.place()
			now := kafka.OffsetCommit{Partition: p.n, Offset: s.position, Metadata: s.metadata()}
			if stored[place{t.topic, p.n}] != now {
				moved[t.topic] = append(moved[t.topic], now)
			}
		}
	}
	if len(moved) > 0 {
		fault.Point("dispatch.position")
		if err := g.send(ctx, moved); err != nil {
			return err
		}
		g.c.o.Trouble(commitTrouble, "")
	}
	for topic, commits := range moved {
		for _, commit := range commits {
			stored[place{topic, commit.Partition}] = commit
		}
	}
	for i, p := range g.partitions {
		p.unmarked.Add(-marked[i])
	}
	return nil
}

func (g *generation) send(ctx context.Context, moved map[string][]kafka.OffsetCommit) error {
	response, err := g.c.cluster.Client.OffsetCommit(ctx, &kafka.OffsetCommitRequest{GroupID: g.c.o.Group, GenerationID: g.id, MemberID: g.member, Topics: moved})
	if err != nil {
		return err
	}
	for _, partitions := range response.Topics {
		for _, p := range partitions {
			if p.Error != nil {
				return p.Error
			}
		}
	}
	return nil
}

// committed gives how far the group has come in one partition of each topic; topics without a position are not among them.
func (c *Courier) committed(ctx context.Context, n int, topics []string) (map[string]standing, error) {
	request := &kafka.OffsetFetchRequest{GroupID: c.o.Group, Topics: map[string][]int{}}
	for _, topic := range topics {
		request.Topics[topic] = []int{n}
	}
	response, err := c.cluster.Client.OffsetFetch(ctx, request)
	if err == nil {
		err = response.Error
	}
	if err != nil {
		return nil, fmt.Errorf("positions of group %s: %w", c.o.Group, err)
	}
	all := map[string]standing{}
	for topic, partitions := range response.Topics {
		for _, p := range partitions {
			if p.Error != nil {
				return nil, fmt.Errorf("position of %s/%d in group %s: %w", topic, n, c.o.Group, p.Error)
			}
			if p.CommittedOffset < 0 {
				continue
			}
			if all[topic], err = parseStanding(p.CommittedOffset, p.Metadata); err != nil {
				return nil, fmt.Errorf("position of %s/%d in group %s: %w", topic, n, c.o.Group, err)
			}
		}
	}
	return all, nil
}
