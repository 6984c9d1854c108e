package config

import (
	"testing"
)

const smallest = `data: ./var/masar
listen: [{addr: 127.0.0.1:2775}]
admin: {listen: 127.0.0.1:8775}
accounts: [{system_id: load, password_hash: "$2a$10$..."}]
carriers: [{name: a, addr: 127.0.0.1:2801, system_id: masar, password: secret, binds: {transceiver: 2}, window: 100}]
routes: [{carriers: [a]}]
`

func TestTheSmallestConfigLoads(t *testing.T) {
	c, w, err := Parse("masar.yaml", []byte(smallest), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(w)
	if c.Carriers[0].Password.Reveal() != "secret" || c.Carriers[0].Binds.Transceiver != 2 || c.Accounts[0].Park != 1000 || c.Accounts[0].Validity != c.Validity {
		t.Errorf("%+v", c)
	}
}
