package admin

import "github.com/cockroachdb/pebble/v2/vfs"

// room tells whether the disk has room for so many octets more beside what must stay free.
// Where the disk does not tell, it is tried.
func (b *bulk) room(octets int64) bool {
	if b.a.opt.Bulk.MinFree < 0 {
		return true
	}
	du, err := vfs.Default.GetDiskUsage(b.dir)
	return err != nil || int64(du.AvailBytes)-max(0, octets) > b.a.opt.Bulk.MinFree
}
