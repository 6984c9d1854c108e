package pebble

import (
	pdb "github.com/cockroachdb/pebble/v2"

	"masar/queue"
)

// asideBatch is how many messages on the side way are read with one pair of iterators: to
// make them costs more than to read with them.
const asideBatch = 512

// fillAside makes grabbed items claims, in their order, but for those that are not on the
// side way any more and those that keep refuses: they have moved on since the snapshot they
// were found in. Its iterators are made after the grabs: from then on nobody moves these
// rows. After an error none of the items is grabbed that is not a claim.
func (s *Store) fillAside(grabbed []*item, keep func(i int, p *sidePlace) bool, into []queue.Claim) (_ []queue.Claim, err error) {
	if len(grabbed) == 0 {
		return into, nil
	}
	done := 0
	defer func() {
		for _, it := range grabbed[done:] {
			s.ungrab(it)
		}
	}()
	rows, err := s.db.NewIter(&pdb.IterOptions{LowerBound: []byte{kindSide}, UpperBound: []byte{kindSide + 1}})
	if err != nil {
		return into, err
	}
	defer rows.Close()
	parts := partReader{s: s}
	defer parts.close()
	for ; done < len(grabbed); done++ {
		it := grabbed[done]
		p, err := placeAside(rows, it.id)
		if err != nil {
			return into, err
		}
		if p.side == nil || p.side.stamp != 0 || !keep(done, p.side) {
			s.ungrab(it)
			continue
		}
		if err := s.fillWith(&parts, it, p); err != nil {
			return into, err
		}
		into = append(into, it.claim())
	}
	return into, nil
}

// placeAside reads a message's row on the side way; side is nil when it has none. The record is
// valid until the iterator moves.
func placeAside(rows *pdb.Iterator, id queue.ID) (p place, err error) {
	k := idKey(nil, kindSide, id)
	if !rows.SeekGE(k) || string(rows.Key()) != string(k) {
		return p, rows.Error()
	}
	v, err := rows.ValueAndErr()
	if err != nil {
		return p, err
	}
	side, record, err := parseSide(v)
	return place{stage: queue.Aside, side: &side, record: record}, err
}
