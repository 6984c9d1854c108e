package admin

import "github.com/cockroachdb/pebble/v2/vfs"

// room tells whether the disk has room for so many octets more beside what must stay free.
// Where the disk does not tell, it is tried.
func (b *bulk) room(octets int64) bool {
	return roomIn(b.dir, octets, b.a.opt.Bulk.MinFree)
}

func roomIn(dir string, octets, minFree int64) bool {
	if minFree < 0 {
		return true
	}
	du, err := vfs.Default.GetDiskUsage(dir)
	return err != nil || int64(du.AvailBytes)-max(0, octets) > minFree
}
