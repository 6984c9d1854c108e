package pdu

import (
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
)

// Status is a command_status (SMPP v3.4 section 5.1.3, v5.0 section 4.7.6).
type Status uint32

// The statuses of v3.4 and v5.0, with the names of v5.0 where the two differ.
const (
	ESME_ROK                 Status = 0x00000000
	ESME_RINVMSGLEN          Status = 0x00000001
	ESME_RINVCMDLEN          Status = 0x00000002
	ESME_RINVCMDID           Status = 0x00000003
	ESME_RINVBNDSTS          Status = 0x00000004
	ESME_RALYBND             Status = 0x00000005
	ESME_RINVPRTFLG          Status = 0x00000006
	ESME_RINVREGDLVFLG       Status = 0x00000007
	ESME_RSYSERR             Status = 0x00000008
	ESME_RINVSRCADR          Status = 0x0000000A
	ESME_RINVDSTADR          Status = 0x0000000B
	ESME_RINVMSGID           Status = 0x0000000C
	ESME_RBINDFAIL           Status = 0x0000000D
	ESME_RINVPASWD           Status = 0x0000000E
	ESME_RINVSYSID           Status = 0x0000000F
	ESME_RCANCELFAIL         Status = 0x00000011
	ESME_RREPLACEFAIL        Status = 0x00000013
	ESME_RMSGQFUL            Status = 0x00000014
	ESME_RINVSERTYP          Status = 0x00000015
	ESME_RINVNUMDESTS        Status = 0x00000033
	ESME_RINVDLNAME          Status = 0x00000034
	ESME_RINVDESTFLAG        Status = 0x00000040
	ESME_RINVSUBREP          Status = 0x00000042
	ESME_RINVESMCLASS        Status = 0x00000043
	ESME_RCNTSUBDL           Status = 0x00000044
	ESME_RSUBMITFAIL         Status = 0x00000045
	ESME_RINVSRCTON          Status = 0x00000048
	ESME_RINVSRCNPI          Status = 0x00000049
	ESME_RINVDSTTON          Status = 0x00000050
	ESME_RINVDSTNPI          Status = 0x00000051
	ESME_RINVSYSTYP          Status = 0x00000053
	ESME_RINVREPFLAG         Status = 0x00000054
	ESME_RINVNUMMSGS         Status = 0x00000055
	ESME_RTHROTTLED          Status = 0x00000058
	ESME_RINVSCHED           Status = 0x00000061
	ESME_RINVEXPIRY          Status = 0x00000062
	ESME_RINVDFTMSGID        Status = 0x00000063
	ESME_RX_T_APPN           Status = 0x00000064
	ESME_RX_P_APPN           Status = 0x00000065
	ESME_RX_R_APPN           Status = 0x00000066
	ESME_RQUERYFAIL          Status = 0x00000067
	ESME_RINVTLVSTREAM       Status = 0x000000C0
	ESME_RTLVNOTALLWD        Status = 0x000000C1
	ESME_RINVTLVLEN          Status = 0x000000C2
	ESME_RMISSINGTLV         Status = 0x000000C3
	ESME_RINVTLVVAL          Status = 0x000000C4
	ESME_RDELIVERYFAILURE    Status = 0x000000FE
	ESME_RUNKNOWNERR         Status = 0x000000FF
	ESME_RSERTYPUNAUTH       Status = 0x00000100
	ESME_RPROHIBITED         Status = 0x00000101
	ESME_RSERTYPUNAVAIL      Status = 0x00000102
	ESME_RSERTYPDENIED       Status = 0x00000103
	ESME_RINVDCS             Status = 0x00000104
	ESME_RINVSRCADDRSUBUNIT  Status = 0x00000105
	ESME_RINVDSTADDRSUBUNIT  Status = 0x00000106
	ESME_RINVBCASTFREQINT    Status = 0x00000107
	ESME_RINVBCASTALIAS_NAME Status = 0x00000108
	ESME_RINVBCASTAREAFMT    Status = 0x00000109
	ESME_RINVNUMBCAST_AREAS  Status = 0x0000010A
	ESME_RINVBCASTCNTTYPE    Status = 0x0000010B
	ESME_RINVBCASTMSGCLASS   Status = 0x0000010C
	ESME_RBCASTFAIL          Status = 0x0000010D
	ESME_RBCASTQUERYFAIL     Status = 0x0000010E
	ESME_RBCASTCANCELFAIL    Status = 0x0000010F
	ESME_RINVBCAST_REP       Status = 0x00000110
	ESME_RINVBCASTSRVGRP     Status = 0x00000111
	ESME_RINVBCASTCHANIND    Status = 0x00000112

	// Vendors have 0x00000400 to 0x000004FF.
	vendorFirst Status = 0x00000400
	vendorLast  Status = 0x000004FF
)

// statuses has a row for each status, in rising order.
var statuses = [...]struct {
	status Status
	name   string
	text   string
}{
	{ESME_ROK, "ESME_ROK", "No error."},
	{ESME_RINVMSGLEN, "ESME_RINVMSGLEN", "The message is too long, or its length and its octets differ."},
	{ESME_RINVCMDLEN, "ESME_RINVCMDLEN", "The command_length does not fit the command."},
	{ESME_RINVCMDID, "ESME_RINVCMDID", "The command is not known or not supported."},
	{ESME_RINVBNDSTS, "ESME_RINVBNDSTS", "The command is not allowed in this bind state."},
	{ESME_RALYBND, "ESME_RALYBND", "The session is bound already, or the account has no bind left."},
	{ESME_RINVPRTFLG, "ESME_RINVPRTFLG", "The priority_flag is not allowed."},
	{ESME_RINVREGDLVFLG, "ESME_RINVREGDLVFLG", "The registered_delivery is not allowed."},
	{ESME_RSYSERR, "ESME_RSYSERR", "The system failed."},
	{ESME_RINVSRCADR, "ESME_RINVSRCADR", "The source address is not valid or not allowed."},
	{ESME_RINVDSTADR, "ESME_RINVDSTADR", "The destination address is not valid or not allowed."},
	{ESME_RINVMSGID, "ESME_RINVMSGID", "The message_id is not valid."},
	{ESME_RBINDFAIL, "ESME_RBINDFAIL", "The bind failed."},
	{ESME_RINVPASWD, "ESME_RINVPASWD", "The password is wrong."},
	{ESME_RINVSYSID, "ESME_RINVSYSID", "The system_id is not known."},
	{ESME_RCANCELFAIL, "ESME_RCANCELFAIL", "The message could not be cancelled."},
	{ESME_RREPLACEFAIL, "ESME_RREPLACEFAIL", "The message could not be replaced."},
	{ESME_RMSGQFUL, "ESME_RMSGQFUL", "The message queue is full."},
	{ESME_RINVSERTYP, "ESME_RINVSERTYP", "The service_type is not valid."},
	{ESME_RINVNUMDESTS, "ESME_RINVNUMDESTS", "The number of destinations is not allowed."},
	{ESME_RINVDLNAME, "ESME_RINVDLNAME", "The distribution list is not known."},
	{ESME_RINVDESTFLAG, "ESME_RINVDESTFLAG", "The dest_flag is not valid."},
	{ESME_RINVSUBREP, "ESME_RINVSUBREP", "The submit cannot replace a message."},
	{ESME_RINVESMCLASS, "ESME_RINVESMCLASS", "The esm_class is not valid, or the user data header is broken."},
	{ESME_RCNTSUBDL, "ESME_RCNTSUBDL", "The message cannot be submitted to a distribution list."},
	{ESME_RSUBMITFAIL, "ESME_RSUBMITFAIL", "The submit failed."},
	{ESME_RINVSRCTON, "ESME_RINVSRCTON", "The type of number of the source is not valid."},
	{ESME_RINVSRCNPI, "ESME_RINVSRCNPI", "The numbering plan of the source is not valid."},
	{ESME_RINVDSTTON, "ESME_RINVDSTTON", "The type of number of the destination is not valid."},
	{ESME_RINVDSTNPI, "ESME_RINVDSTNPI", "The numbering plan of the destination is not valid."},
	{ESME_RINVSYSTYP, "ESME_RINVSYSTYP", "The system_type is not valid."},
	{ESME_RINVREPFLAG, "ESME_RINVREPFLAG", "The replace_if_present_flag is not valid."},
	{ESME_RINVNUMMSGS, "ESME_RINVNUMMSGS", "The number of messages is not valid."},
	{ESME_RTHROTTLED, "ESME_RTHROTTLED", "The account sends faster than it may."},
	{ESME_RINVSCHED, "ESME_RINVSCHED", "The schedule_delivery_time is not valid."},
	{ESME_RINVEXPIRY, "ESME_RINVEXPIRY", "The validity_period is not valid."},
	{ESME_RINVDFTMSGID, "ESME_RINVDFTMSGID", "The predefined message does not exist."},
	{ESME_RX_T_APPN, "ESME_RX_T_APPN", "The receiver failed for now; send it again later."},
	{ESME_RX_P_APPN, "ESME_RX_P_APPN", "The receiver failed for good; do not send it again."},
	{ESME_RX_R_APPN, "ESME_RX_R_APPN", "The receiver rejected the message."},
	{ESME_RQUERYFAIL, "ESME_RQUERYFAIL", "The message could not be queried."},
	{ESME_RINVTLVSTREAM, "ESME_RINVTLVSTREAM", "The optional parameters are broken."},
	{ESME_RTLVNOTALLWD, "ESME_RTLVNOTALLWD", "An optional parameter is not allowed here."},
	{ESME_RINVTLVLEN, "ESME_RINVTLVLEN", "The length of an optional parameter is not valid."},
	{ESME_RMISSINGTLV, "ESME_RMISSINGTLV", "An optional parameter that is needed is missing."},
	{ESME_RINVTLVVAL, "ESME_RINVTLVVAL", "The value of an optional parameter is not valid."},
	{ESME_RDELIVERYFAILURE, "ESME_RDELIVERYFAILURE", "The message could not be delivered."},
	{ESME_RUNKNOWNERR, "ESME_RUNKNOWNERR", "The error is not known."},
	{ESME_RSERTYPUNAUTH, "ESME_RSERTYPUNAUTH", "The account may not use this service_type."},
	{ESME_RPROHIBITED, "ESME_RPROHIBITED", "The account may not use this operation."},
	{ESME_RSERTYPUNAVAIL, "ESME_RSERTYPUNAVAIL", "The service_type is not available now."},
	{ESME_RSERTYPDENIED, "ESME_RSERTYPDENIED", "The service_type is denied."},
	{ESME_RINVDCS, "ESME_RINVDCS", "The data_coding is not valid."},
	{ESME_RINVSRCADDRSUBUNIT, "ESME_RINVSRCADDRSUBUNIT", "The source_addr_subunit is not valid."},
	{ESME_RINVDSTADDRSUBUNIT, "ESME_RINVDSTADDRSUBUNIT", "The dest_addr_subunit is not valid."},
	{ESME_RINVBCASTFREQINT, "ESME_RINVBCASTFREQINT", "The broadcast_frequency_interval is not valid."},
	{ESME_RINVBCASTALIAS_NAME, "ESME_RINVBCASTALIAS_NAME", "The broadcast area alias is not valid."},
	{ESME_RINVBCASTAREAFMT, "ESME_RINVBCASTAREAFMT", "The broadcast area format is not valid."},
	{ESME_RINVNUMBCAST_AREAS, "ESME_RINVNUMBCAST_AREAS", "The number of broadcast areas is not valid."},
	{ESME_RINVBCASTCNTTYPE, "ESME_RINVBCASTCNTTYPE", "The broadcast_content_type is not valid."},
	{ESME_RINVBCASTMSGCLASS, "ESME_RINVBCASTMSGCLASS", "The broadcast_message_class is not valid."},
	{ESME_RBCASTFAIL, "ESME_RBCASTFAIL", "The broadcast failed."},
	{ESME_RBCASTQUERYFAIL, "ESME_RBCASTQUERYFAIL", "The broadcast could not be queried."},
	{ESME_RBCASTCANCELFAIL, "ESME_RBCASTCANCELFAIL", "The broadcast could not be cancelled."},
	{ESME_RINVBCAST_REP, "ESME_RINVBCAST_REP", "The number of broadcast repetitions is not valid."},
	{ESME_RINVBCASTSRVGRP, "ESME_RINVBCASTSRVGRP", "The broadcast service group is not valid."},
	{ESME_RINVBCASTCHANIND, "ESME_RINVBCASTCHANIND", "The broadcast_channel_indicator is not valid."},
}

// oldNames are v3.4's names of statuses that v5.0 renamed.
var oldNames = [...]struct {
	name   string
	status Status
}{
	{"ESME_RINVOPTPARSTREAM", ESME_RINVTLVSTREAM},
	{"ESME_ROPTPARNOTALLWD", ESME_RTLVNOTALLWD},
	{"ESME_RINVPARLEN", ESME_RINVTLVLEN},
	{"ESME_RMISSINGOPTPARAM", ESME_RMISSINGTLV},
	{"ESME_RINVOPTPARAMVAL", ESME_RINVTLVVAL},
}

func (s Status) row() (int, bool) {
	if s == ESME_ROK {
		return 0, true
	}
	lo, hi := 0, len(statuses)
	for lo < hi {
		if mid := (lo + hi) / 2; statuses[mid].status < s {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo, lo < len(statuses) && statuses[lo].status == s
}

// String returns the name, "ESME_RTHROTTLED", or "0x00000400" for a status we
// have no name for.
func (s Status) String() string {
	if i, ok := s.row(); ok {
		return statuses[i].name
	}
	return hex32(uint32(s))
}

// Text returns one plain sentence about s.
func (s Status) Text() string {
	if i, ok := s.row(); ok {
		return statuses[i].text
	}
	if s.Vendor() {
		return "The peer's vendor defines this status."
	}
	return "The status is in no version of SMPP."
}

// Known reports whether v3.4 or v5.0 has s.
func (s Status) Known() bool {
	_, ok := s.row()
	return ok
}

// Vendor reports whether s is one that vendors define, 0x0400 to 0x04FF.
func (s Status) Vendor() bool { return s >= vendorFirst && s <= vendorLast }

// MarshalText writes what String returns.
func (s Status) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what ParseStatus reads.
func (s *Status) UnmarshalText(b []byte) (err error) {
	*s, err = ParseStatus(string(b))
	return err
}

// Statuses yields every status that has a name, in rising order, with its text.
func Statuses() iter.Seq2[Status, string] {
	return func(yield func(Status, string) bool) {
		for i := range statuses {
			if !yield(statuses[i].status, statuses[i].text) {
				return
			}
		}
	}
}

// ParseStatus reads a status as people write it: ESME_RTHROTTLED, RTHROTTLED,
// esme_rthrottled, v3.4's older name, 0x58 or 88.
func ParseStatus(s string) (Status, error) {
	if n, err := strconv.ParseUint(s, 0, 32); err == nil {
		return Status(n), nil
	}
	name := strings.ToUpper(s)
	if !strings.HasPrefix(name, "ESME_") {
		name = "ESME_" + name
	}
	for i := range statuses {
		if strings.ToUpper(statuses[i].name) == name {
			return statuses[i].status, nil
		}
	}
	i := slices.IndexFunc(oldNames[:], func(o struct {
		name   string
		status Status
	}) bool {
		return o.name == name
	})
	if i >= 0 {
		return oldNames[i].status, nil
	}
	return 0, fmt.Errorf("%q is no command_status; write ESME_RTHROTTLED, RTHROTTLED, 0x58 or 88", s)
}
