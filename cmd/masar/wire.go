package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"masar/config"
	"masar/gateway"
	"masar/number"
	"masar/queue"
	"masar/smpp"
	"masar/smpp/pdu"
	"masar/smpp/receipt"
	"masar/smpp/text"
)

// loadConfig reads a configuration with the statuses' names known, and asks the room that
// knows catalogues what is wrong with this one.
func loadConfig(path string) (*config.Config, []config.Warning, error) {
	return config.ParseOptions{
		StatusName: func(name string) (uint32, bool) {
			st, err := pdu.ParseStatus(name)
			return uint32(st), err == nil
		},
		Catalogue: judgeCatalogue,
	}.Load(path)
}

// setup translates the part of a configuration that a reload swaps.
func setup(c *config.Config) (gateway.Setup, error) {
	s := gateway.Setup{
		Zone:         c.TimeZone.Location(),
		MaxSchedule:  c.MaxSchedule,
		Shares:       [queue.Classes]int{queue.Normal: given(c.Shares.Normal), queue.Bulk: given(c.Shares.Bulk)},
		MobileExpiry: c.MO.Expiry,
		MobileTTL:    c.MO.TTL,
	}
	s.AuthStatus = authStatus(c.AuthRefusal)
	for i := range c.Accounts {
		s.Accounts = append(s.Accounts, account(&c.Accounts[i]))
	}
	for i := range c.Carriers {
		k, err := carrier(&c.Carriers[i], c)
		if err != nil {
			return s, fmt.Errorf("carriers[%d] %s: %w", i, c.Carriers[i].Name, err)
		}
		s.Carriers = append(s.Carriers, k)
	}
	for i := range c.Routes {
		s.Routes = append(s.Routes, routeOf(&c.Routes[i]))
	}
	var err error
	if s.Catalogue, err = catalogue(c); err != nil {
		return s, err
	}
	for _, m := range c.MobileOriginated {
		rule := gateway.MobileRule{To: m.To, Keyword: m.Keyword, Account: m.Account, Whole: m.Whole}
		if m.Regex != "" {
			re, err := regexp.Compile(m.Regex)
			if err != nil {
				return s, err
			}
			rule.Regexp = re
		}
		s.Mobile = append(s.Mobile, rule)
	}
	return s, nil
}

func authStatus(name string) pdu.Status {
	switch name {
	case "invsysid":
		return pdu.ESME_RINVSYSID
	case "bindfail":
		return pdu.ESME_RBINDFAIL
	}
	return pdu.ESME_RINVPASWD
}

func account(a *config.Account) gateway.Account {
	out := gateway.Account{
		SystemID: a.SystemID, MaxBinds: a.Binds, Allow: a.Allow,
		Throughput: a.Throughput.PerSecond(), Burst: float64(a.Burst), Window: a.Window, Park: given(a.Park), DeliverWindow: a.DeliverWindow,
		Class: class(a.Class), MaxClass: class(a.MaxClass), Weight: a.Weight,
		DefaultSender: a.DefaultSender, Services: a.Services, Room: a.Room,
		Codings:         text.Codings{Default: alphabet(a.DefaultAlphabet), One: alphabet(a.DataCoding1)},
		ValidityDefault: a.Validity.Default, ValidityMax: a.Validity.Max,
		MaxParts: a.MaxParts, EmptyRefused: a.EmptyMessage == "refuse",
		OutboxTTL: a.OutboxTTL, Zone: a.TimeZone.Location(), Agency: a.Agency,
		Receipts: gateway.AccountReceipts{NoTLVs: !a.Receipts.TLVs, DateDigits: a.Receipts.DateDigits, PerPart: a.Receipts.PerPart},
	}
	for _, h := range append([]config.Secret{a.PasswordHash}, a.PasswordHashes...) {
		if !h.IsZero() {
			out.PasswordHash = append(out.PasswordHash, h.Reveal())
		}
	}
	if a.Trial {
		out.Trial = map[number.E164]struct{}{} // none: it reaches test numbers alone
		for _, s := range a.TrialNumbers {
			if n, ok := number.Of(s); ok {
				out.Trial[n] = struct{}{}
			}
		}
	}
	for _, b := range a.BindTypes {
		out.BindTypes = append(out.BindTypes, map[string]pdu.Command{
			"transmitter": pdu.CmdBindTransmitter, "receiver": pdu.CmdBindReceiver, "transceiver": pdu.CmdBindTransceiver}[b])
	}
	for _, s := range a.Senders {
		out.Senders = append(out.Senders, sender(s))
	}
	out.Numbers = gateway.NumberRule{
		Mode:    map[string]gateway.NumberMode{"strict": gateway.NumbersStrict, "keep": gateway.NumbersKeep}[a.Numbers.Rule],
		Country: a.Numbers.Country,
		TONNPI:  tonNPI(a.Numbers.TONNPI, a.Numbers.TON, a.Numbers.NPI),
	}
	out.MessageID = map[string]gateway.IDForm{"decimal": gateway.DecimalID, "short": gateway.ShortID}[a.MessageID]
	out.Receipts.IDForm = map[string]gateway.ReceiptID{
		"hex": gateway.ReceiptHex, "decimal": gateway.ReceiptDecimal, "padded": gateway.ReceiptPadded}[a.Receipts.ID]
	t := timers(a.Timers)
	out.Timers = &t
	return out
}

// given is a value that the file says or that has a default: where the rooms take 0 for
// "not said", a 0 of the file is told to them as a negative one.
func given[T ~int | ~int64 | ~float64](v T) T {
	if v == 0 {
		return -1
	}
	return v
}

// sender reads AHWAL, MOI* or 1000-1999.
func sender(s string) gateway.Sender {
	if from, to, ok := strings.Cut(s, "-"); ok {
		a, err1 := strconv.ParseUint(from, 10, 64)
		b, err2 := strconv.ParseUint(to, 10, 64)
		if err1 == nil && err2 == nil {
			return gateway.Sender{From: a, To: b}
		}
	}
	if prefix, ok := strings.CutSuffix(s, "*"); ok {
		return gateway.Sender{Prefix: prefix}
	}
	return gateway.Sender{Exact: s}
}

func tonNPI(mode string, ton, npi int) gateway.AddressTONNPI {
	out := gateway.AddressTONNPI{TON: uint8(ton), NPI: uint8(npi)}
	switch mode {
	case "keep":
		out.Mode = gateway.TONNPIKeep
	case "override", "fixed":
		out.Mode = gateway.TONNPIFixed
	}
	return out
}

func class(name string) queue.Class {
	c, ok := queue.ParseClass(name)
	if !ok {
		return queue.Normal
	}
	return c
}

func alphabet(name string) text.Encoding {
	switch name {
	case "latin1":
		return text.Latin1
	case "ascii":
		return text.ASCII
	}
	return text.GSM7
}

func timers(t config.BindTimers) smpp.Timers {
	return smpp.Timers{EnquireLink: t.EnquireLink, Inactivity: t.Inactivity, Response: t.Response}
}

func carrier(c *config.Carrier, all *config.Config) (gateway.Carrier, error) {
	out := gateway.Carrier{
		Name: c.Name, Addrs: c.Addrs, AllAddrs: c.Mode == "all", ReceiveAddrs: c.ReceiverAddrs, LocalAddr: c.LocalAddr,
		SystemID: c.SystemID, Password: c.Password.Reveal(), SystemType: c.SystemType, Version: uint8(c.InterfaceVersion),
		AddressRange: c.AddressRange, RangeTON: uint8(c.AddrTON), RangeNPI: uint8(c.AddrNPI),
		Transceivers: c.Binds.Transceiver, Transmitters: c.Binds.Transmitter, Receivers: c.Binds.Receiver,
		Window: c.Window, Throughput: c.Throughput.PerSecond(), Burst: float64(c.Burst),
		Timers: timers(c.Timers),
		Backoff: smpp.Backoff{Min: c.Reconnect.Min, Max: c.Reconnect.Max,
			Refused: c.Reconnect.Refused, AlreadyBound: c.Reconnect.AlreadyBound},
		ServiceType: c.ServiceType, ProtocolID: octet(c.ProtocolID), Priority: octet(c.Priority),
		Validity: map[string]gateway.ValidityForm{"none": gateway.NoValidity, "absolute": gateway.AbsoluteValidity}[c.Validity],
		Source:   gateway.Addressing{TONNPI: tonNPI(c.Source.Rule, c.Source.TON, c.Source.NPI)},
		Dest: gateway.Addressing{TONNPI: tonNPI(c.Destination.Rule, c.Destination.TON, c.Destination.NPI),
			Strip: c.Destination.Strip, Prefix: c.Destination.Prefix},
		Alphanumeric: map[string]gateway.SenderRule{"replace": gateway.ReplaceSender, "refuse": gateway.RefuseSender}[c.Alphanumeric.Rule],
		Replacement:  c.Alphanumeric.Sender,
		Codings:      text.Codings{Default: alphabet(c.DefaultAlphabet), One: text.ASCII},
		Packed:       c.Packed,
		Style:        style(c.Segmentation), MaxShortMessage: c.MaxShortMessage, MaxParts: c.MaxParts,
		Statuses: statuses(c.Statuses),
		Recovery: gateway.Recovery{After: given(c.Recovery.After), From: float64(c.Recovery.From), Step: float64(c.Recovery.Step),
			Every: c.Recovery.Every, HoldBulk: c.Recovery.HoldBulk},
		Retry: gateway.RetrySchedule{Delays: all.Retry.Default, Tries: all.Retry.Tries, Jitter: float64(all.Retry.Jitter)},
	}
	out.Timers.SessionInit = all.Timers.SessionInit
	out.DataCoding = dataCodings(c)
	if c.Hours != nil {
		out.Hours = c.Hours
	}
	if len(c.Retry) > 0 {
		out.StatusRetry = map[pdu.Status]gateway.RetrySchedule{}
	}
	for _, r := range c.Retry {
		delays := r.Delays
		if len(delays) == 0 {
			delays = all.Retry.Default // its tries are its own all the same
		}
		for _, st := range r.Statuses {
			out.StatusRetry[pdu.Status(st)] = gateway.RetrySchedule{Delays: delays, Tries: r.Tries, Jitter: float64(all.Retry.Jitter)}
			// A schedule of its own makes a status temporary, whatever it usually means.
			if _, said := out.Statuses[pdu.Status(st)]; !said {
				out.Statuses[pdu.Status(st)] = gateway.AnswerTemporary
			}
		}
	}
	for _, t := range c.TLVs {
		out.TLVs = pdu.TLVs(out.TLVs).Append(pdu.Tag(t.Tag), t.Octets)
	}
	out.Receipts = carrierReceipts(&c.Receipts)
	out.Free.Required = c.Free.Required
	for _, m := range c.Free.Markers {
		one := gateway.Marker{Name: m.Name, Services: m.Services, ServiceType: m.ServiceType, Source: m.Source}
		for _, t := range m.TLVs {
			one.TLVs = pdu.TLVs(one.TLVs).Append(pdu.Tag(t.Tag), t.Octets)
		}
		out.Free.Markers = append(out.Free.Markers, one)
	}
	out.Unknown = unknownSubscriber(&c.UnknownSubscriber)
	var err error
	if out.TLS, err = carrierTLS(c.TLS); err != nil {
		return out, err
	}
	out.Identity, err = identity(c, all)
	return out, err
}

func unknownSubscriber(u *config.UnknownSubscriber) (out gateway.UnknownSubscriber) {
	if len(u.Errors) > 0 {
		out.Errs = map[string]bool{}
	}
	for _, e := range u.Errors {
		out.Errs[e] = true
	}
	if len(u.Statuses) > 0 {
		out.Statuses = map[pdu.Status]bool{}
	}
	for _, st := range u.Statuses {
		out.Statuses[pdu.Status(st)] = true
	}
	return out
}

// identity changes whenever anything that makes up a carrier does, its secrets and the
// contents of its files included.
func identity(c *config.Carrier, all *config.Config) (string, error) {
	h := sha256.New()
	if err := json.NewEncoder(h).Encode(struct {
		Carrier *config.Carrier
		Retry   config.Retry
		Init    string
		Zones   []string
	}{c, all.Retry, all.Timers.SessionInit.String(), []string{c.Receipts.Zone.String()}}); err != nil {
		return "", err
	}
	fmt.Fprintf(h, "%q", c.Password.Reveal())
	if c.Hours != nil {
		fmt.Fprintf(h, "%s", c.Hours.Zone)
	}
	if t := c.TLS; t != nil {
		sum, err := fileSum(t.CA, t.Cert, t.Key)
		if err != nil {
			return "", err
		}
		h.Write([]byte(sum))
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func octet(n *int) *uint8 {
	if n == nil {
		return nil
	}
	b := uint8(*n)
	return &b
}

func style(name string) text.Style {
	switch name {
	case "udh8":
		return text.UDH8
	case "sar":
		return text.SAR
	case "payload":
		return text.Payload
	}
	return text.UDH16
}

// dataCodings are the carrier's numbers for encodings. The default alphabet's own number
// is data_coding 0 unless the configuration says another.
func dataCodings(c *config.Carrier) map[text.Encoding]uint8 {
	out := map[text.Encoding]uint8{
		text.UCS2: uint8(c.DataCoding.UCS2), text.Binary: uint8(c.DataCoding.Binary),
	}
	switch def := alphabet(c.DefaultAlphabet); def {
	case text.GSM7:
		out[text.GSM7] = uint8(c.DataCoding.GSM7)
		out[text.Latin1] = uint8(c.DataCoding.Latin1)
		out[text.ASCII] = uint8(c.DataCoding.ASCII)
	default:
		out[def] = text.CodingDefault
		for e, dc := range map[text.Encoding]int{text.Latin1: c.DataCoding.Latin1, text.ASCII: c.DataCoding.ASCII} {
			if e != def {
				out[e] = uint8(dc)
			}
		}
	}
	return out
}

func statuses(s config.Statuses) map[pdu.Status]gateway.AnswerClass {
	out := map[pdu.Status]gateway.AnswerClass{}
	for class, list := range map[gateway.AnswerClass][]config.Status{
		gateway.AnswerThrottle: s.Throttle, gateway.AnswerTemporary: s.Temporary,
		gateway.AnswerElsewhere: s.Elsewhere, gateway.AnswerPermanent: s.Permanent,
	} {
		for _, st := range list {
			out[pdu.Status(st)] = class
		}
	}
	return out
}

func carrierReceipts(r *config.CarrierReceipts) gateway.CarrierReceipts {
	out := gateway.CarrierReceipts{
		Ask:      map[string]gateway.AskReceipts{"always": gateway.AlwaysAsk, "never": gateway.NeverAsk}[r.Ask],
		LastPart: r.Parts == "last_part",
		Wait:     r.Wait,
	}
	detect, _ := receipt.ParseDetect(r.Detect)
	out.Options = receipt.Options{Detect: detect, PreferText: r.Prefer == "text", Zone: r.Zone.Location()}
	resp, known1 := receipt.ParseForm(r.ID.Resp)
	rec, known2 := receipt.ParseForm(r.ID.Receipt)
	out.RespForm, out.RespKnown = resp, known1
	out.TextForm, out.TextKnown = rec, known2
	return out
}

func routeOf(r *config.Route) gateway.Route {
	out := gateway.Route{
		Name: r.Name, Prefixes: r.Prefix, Accounts: r.Accounts, Senders: r.Senders, Services: r.Services,
		FailoverAfter: given(r.FailoverAfter), MaxWait: given(r.MaxWait), ReceiptWait: r.ReceiptWait,
		Uncertain: map[string]gateway.Uncertain{"fail": gateway.FailUncertain, "hold": gateway.HoldUncertain}[r.Uncertain],
		Receipts:  map[string]gateway.AskReceipts{"always": gateway.AlwaysAsk}[r.Receipts],
	}
	for _, c := range r.Classes {
		out.Classes = append(out.Classes, class(c))
	}
	for _, m := range r.Carriers {
		out.Carriers = append(out.Carriers, gateway.RouteCarrier{Name: m.Name(), Weight: m.Weight, Failover: m.Failover != ""})
	}
	return out
}

// serverTimers are the client sessions' timers before their account is known.
func serverTimers(c *config.Config) smpp.Timers {
	t := timers(c.Timers.BindTimers)
	t.SessionInit = c.Timers.SessionInit
	return t
}
