package smppload_test

import (
	"testing"

	"masar/smpp/smppload"
	"masar/smpp/smpptest"
)

// BenchmarkAgainstTheSimulator is what the two cost together, over loopback, 4 binds of
// window 100.
func BenchmarkAgainstTheSimulator(b *testing.B) {
	for name, receipts := range map[string]bool{"submits": false, "receipts": true} {
		b.Run(name, func(b *testing.B) {
			_, addr := carrier(b, smpptest.SMSCOptions{})
			b.ReportAllocs()
			b.ResetTimer()
			res, err := smppload.Run(b.Context(), smppload.Options{Addr: addr, Binds: 4, Window: 100, Count: uint64(b.N), Receipts: receipts})
			if err != nil || res.Accepted != uint64(b.N) || res.Missing != 0 {
				b.Fatalf("%+v, %v", res, err)
			}
			b.ReportMetric(res.AcceptedPerS, "msg/s")
			b.ReportMetric(res.CPU.UsPerMessage, "cpu-µs/msg")
		})
	}
}
