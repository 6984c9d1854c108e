package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"masar/number"
	"masar/service"
	"masar/smpp/smppload"
)

// The two cases that are compared: the same numbers, the same texts, from a plain account
// and from an agency's, with each receiver enrolled. People are sent to twice, and the
// second time is measured: who is new is read from the disk once, whatever the policy.
const (
	plainCase  = "200,000 people, plain account"
	policyCase = "200,000 people, enrolled"

	benchPeople  = 200_000
	benchPrefix  = "966501" // leaves a million numbers
	benchAgency  = "interior"
	benchService = "IDREN"
	benchSender  = "AHWAL"

	policyBar = 1.3 // times the gateway CPU of a plain message, at most
)

// benchCatalogue asks all there is to ask: hours, sender, consent, links, text.
const benchCatalogue = `
languages: [ar, en]
time_zone: Asia/Riyadh
quiet_hours: "03:00-03:01"
weekend: [fri, sat]
categories: {service: {permitted: {days: ["00:00-24:00"]}}}
agencies: [{code: interior, name: {ar: الداخلية, en: Interior}, sender: AHWAL}]
senders: [{name: AHWAL, agency: interior, carriers: {a: {state: active}}}]
services:
  - code: IDREN
    agency: interior
    name: {ar: تجديد الهوية, en: ID renewal}
    kind: expiry
    class: normal
    category: service
    mode: opt-in
    validity: 72h
    quiet_hours: hold
    template: {ar: "تنتهي صلاحية هويتكم", en: "Your ID expires"}
`

// enrolBench enrols the receivers of a load in the registry that the gateway will open,
// each in five services.
func enrolBench(ctx context.Context, config string, people int) error {
	c, _, err := loadConfig(config)
	if err != nil {
		return err
	}
	o := registryOptions(c)
	o.Log = slog.New(slog.DiscardHandler)
	r, key, err := openRegistry(ctx, c, o)
	if err != nil {
		return err
	}
	defer r.Close()
	const batch = 4000
	now := time.Now()
	var changes []service.Change
	for i := range people {
		n, _ := number.Of(smppload.Destination(benchPrefix, uint64(i)))
		changes = append(changes, service.Change{
			Kind: service.Enrol, Person: key.Person(n.String()), Number: n, Verified: true, Language: "ar",
			Services: []string{benchService, "PPEXP", "DLEXP", "VREXP", "TVREC"}, Channel: "portal", At: now, Now: now,
		})
		if len(changes) == batch || i == people-1 {
			out, err := r.Apply(ctx, service.Batch{Changes: changes})
			if err != nil {
				return err
			}
			for _, one := range out {
				if one.Err != nil {
					return one.Err
				}
			}
			changes = changes[:0]
		}
	}
	return r.Close()
}

// printPolicy compares the two cases.
func printPolicy(w io.Writer, all []benchResult) error {
	var plain, asked float64
	for _, r := range all {
		switch r.Case {
		case plainCase:
			plain = r.CPUUs
		case policyCase:
			asked = r.CPUUs
		}
	}
	if plain == 0 || asked == 0 {
		return nil
	}
	ratio, missed := asked/plain, ""
	if ratio > policyBar {
		missed = " MISSED"
	}
	_, err := fmt.Fprintf(w, "\nservice, sender, consent, hours: %.2f times the gateway CPU of a plain message, bar <= %.1f%s\n", ratio, policyBar, missed)
	return err
}
