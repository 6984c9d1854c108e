package pdu

import "fmt"

// Tag is the tag of a TLV (SMPP v3.4 section 5.3.2, v5.0 section 4.8.4).
type Tag uint16

// The tags of v3.4 and v5.0.
const (
	TagDestAddrSubunit            Tag = 0x0005
	TagDestNetworkType            Tag = 0x0006
	TagDestBearerType             Tag = 0x0007
	TagDestTelematicsID           Tag = 0x0008
	TagSourceAddrSubunit          Tag = 0x000D
	TagSourceNetworkType          Tag = 0x000E
	TagSourceBearerType           Tag = 0x000F
	TagSourceTelematicsID         Tag = 0x0010
	TagQoSTimeToLive              Tag = 0x0017
	TagPayloadType                Tag = 0x0019
	TagAdditionalStatusInfoText   Tag = 0x001D
	TagReceiptedMessageID         Tag = 0x001E
	TagMSMsgWaitFacilities        Tag = 0x0030
	TagPrivacyIndicator           Tag = 0x0201
	TagSourceSubaddress           Tag = 0x0202
	TagDestSubaddress             Tag = 0x0203
	TagUserMessageReference       Tag = 0x0204
	TagUserResponseCode           Tag = 0x0205
	TagSourcePort                 Tag = 0x020A
	TagDestPort                   Tag = 0x020B
	TagSARMsgRefNum               Tag = 0x020C
	TagLanguageIndicator          Tag = 0x020D
	TagSARTotalSegments           Tag = 0x020E
	TagSARSegmentSeqnum           Tag = 0x020F
	TagSCInterfaceVersion         Tag = 0x0210
	TagCallbackNumPresInd         Tag = 0x0302
	TagCallbackNumAtag            Tag = 0x0303
	TagNumberOfMessages           Tag = 0x0304
	TagCallbackNum                Tag = 0x0381
	TagDPFResult                  Tag = 0x0420
	TagSetDPF                     Tag = 0x0421
	TagMSAvailabilityStatus       Tag = 0x0422
	TagNetworkErrorCode           Tag = 0x0423
	TagMessagePayload             Tag = 0x0424
	TagDeliveryFailureReason      Tag = 0x0425
	TagMoreMessagesToSend         Tag = 0x0426
	TagMessageState               Tag = 0x0427
	TagCongestionState            Tag = 0x0428
	TagUSSDServiceOp              Tag = 0x0501
	TagBroadcastChannelIndicator  Tag = 0x0600
	TagBroadcastContentType       Tag = 0x0601
	TagBroadcastContentTypeInfo   Tag = 0x0602
	TagBroadcastMessageClass      Tag = 0x0603
	TagBroadcastRepNum            Tag = 0x0604
	TagBroadcastFrequencyInterval Tag = 0x0605
	TagBroadcastAreaIdentifier    Tag = 0x0606
	TagBroadcastErrorStatus       Tag = 0x0607
	TagBroadcastAreaSuccess       Tag = 0x0608
	TagBroadcastEndTime           Tag = 0x0609
	TagBroadcastServiceGroup      Tag = 0x060A
	TagBillingIdentification      Tag = 0x060B
	TagSourceNetworkID            Tag = 0x060D
	TagDestNetworkID              Tag = 0x060E
	TagSourceNodeID               Tag = 0x060F
	TagDestNodeID                 Tag = 0x0610
	TagDestAddrNPResolution       Tag = 0x0611
	TagDestAddrNPInformation      Tag = 0x0612
	TagDestAddrNPCountry          Tag = 0x0613
	TagDisplayTime                Tag = 0x1201
	TagSMSSignal                  Tag = 0x1203
	TagMSValidity                 Tag = 0x1204
	TagAlertOnMessageDelivery     Tag = 0x130C
	TagITSReplyType               Tag = 0x1380
	TagITSSessionInfo             Tag = 0x1383

	// Vendors have 0x1400 to 0x3FFF.
	vendorTagFirst Tag = 0x1400
	vendorTagLast  Tag = 0x3FFF
)

// TLVRule is what the specification says about a TLV. Where v3.4 and v5.0, or
// the text and many peers, differ about a length, both are allowed.
type TLVRule struct {
	Tag      Tag
	Name     string
	Min, Max int  // octets of the value; with CString the NUL included
	CString  bool // a C-octet string; many peers leave its NUL out
	Repeats  bool // may be in one PDU more than once
	V5       bool // not in v3.4
}

// tlvRules has a row for each tag, in rising order.
var tlvRules = [...]TLVRule{
	{TagDestAddrSubunit, "dest_addr_subunit", 1, 1, false, false, false},
	{TagDestNetworkType, "dest_network_type", 1, 1, false, false, false},
	{TagDestBearerType, "dest_bearer_type", 1, 1, false, false, false},
	{TagDestTelematicsID, "dest_telematics_id", 2, 2, false, false, false},
	{TagSourceAddrSubunit, "source_addr_subunit", 1, 1, false, false, false},
	{TagSourceNetworkType, "source_network_type", 1, 1, false, false, false},
	{TagSourceBearerType, "source_bearer_type", 1, 1, false, false, false},
	{TagSourceTelematicsID, "source_telematics_id", 1, 2, false, false, false},
	{TagQoSTimeToLive, "qos_time_to_live", 4, 4, false, false, false},
	{TagPayloadType, "payload_type", 1, 1, false, false, false},
	{TagAdditionalStatusInfoText, "additional_status_info_text", 1, 256, true, false, false},
	{TagReceiptedMessageID, "receipted_message_id", 1, 65, true, false, false},
	{TagMSMsgWaitFacilities, "ms_msg_wait_facilities", 1, 1, false, false, false},
	{TagPrivacyIndicator, "privacy_indicator", 1, 1, false, false, false},
	{TagSourceSubaddress, "source_subaddress", 2, 23, false, false, false},
	{TagDestSubaddress, "dest_subaddress", 2, 23, false, false, false},
	{TagUserMessageReference, "user_message_reference", 2, 2, false, false, false},
	{TagUserResponseCode, "user_response_code", 1, 1, false, false, false},
	{TagSourcePort, "source_port", 2, 2, false, false, false},
	{TagDestPort, "dest_port", 2, 2, false, false, false},
	{TagSARMsgRefNum, "sar_msg_ref_num", 2, 2, false, false, false},
	{TagLanguageIndicator, "language_indicator", 1, 1, false, false, false},
	{TagSARTotalSegments, "sar_total_segments", 1, 1, false, false, false},
	{TagSARSegmentSeqnum, "sar_segment_seqnum", 1, 1, false, false, false},
	{TagSCInterfaceVersion, "sc_interface_version", 1, 1, false, false, false},
	{TagCallbackNumPresInd, "callback_num_pres_ind", 1, 1, false, true, false},
	{TagCallbackNumAtag, "callback_num_atag", 1, 65, false, true, false},
	{TagNumberOfMessages, "number_of_messages", 1, 1, false, false, false},
	{TagCallbackNum, "callback_num", 4, 19, false, true, false},
	{TagDPFResult, "dpf_result", 1, 1, false, false, false},
	{TagSetDPF, "set_dpf", 1, 1, false, false, false},
	{TagMSAvailabilityStatus, "ms_availability_status", 1, 1, false, false, false},
	{TagNetworkErrorCode, "network_error_code", 3, 3, false, false, false},
	{TagMessagePayload, "message_payload", 0, 65535, false, false, false},
	{TagDeliveryFailureReason, "delivery_failure_reason", 1, 1, false, false, false},
	{TagMoreMessagesToSend, "more_messages_to_send", 1, 1, false, false, false},
	{TagMessageState, "message_state", 1, 1, false, false, false},
	{TagCongestionState, "congestion_state", 1, 1, false, false, true},
	{TagUSSDServiceOp, "ussd_service_op", 1, 1, false, false, false},
	{TagBroadcastChannelIndicator, "broadcast_channel_indicator", 1, 1, false, false, true},
	{TagBroadcastContentType, "broadcast_content_type", 3, 3, false, false, true},
	{TagBroadcastContentTypeInfo, "broadcast_content_type_info", 1, 255, false, true, true},
	{TagBroadcastMessageClass, "broadcast_message_class", 1, 1, false, false, true},
	{TagBroadcastRepNum, "broadcast_rep_num", 2, 2, false, false, true},
	{TagBroadcastFrequencyInterval, "broadcast_frequency_interval", 3, 3, false, false, true},
	{TagBroadcastAreaIdentifier, "broadcast_area_identifier", 1, 100, false, true, true},
	{TagBroadcastErrorStatus, "broadcast_error_status", 4, 4, false, true, true},
	{TagBroadcastAreaSuccess, "broadcast_area_success", 1, 1, false, true, true},
	{TagBroadcastEndTime, "broadcast_end_time", 1, 17, true, false, true},
	{TagBroadcastServiceGroup, "broadcast_service_group", 1, 255, false, false, true},
	{TagBillingIdentification, "billing_identification", 1, 1024, false, false, true},
	{TagSourceNetworkID, "source_network_id", 7, 66, true, false, true},
	{TagDestNetworkID, "dest_network_id", 7, 66, true, false, true},
	{TagSourceNodeID, "source_node_id", 6, 6, false, false, true},
	{TagDestNodeID, "dest_node_id", 6, 6, false, false, true},
	{TagDestAddrNPResolution, "dest_addr_np_resolution", 1, 1, false, false, true},
	{TagDestAddrNPInformation, "dest_addr_np_information", 10, 10, false, false, true},
	{TagDestAddrNPCountry, "dest_addr_np_country", 1, 5, false, false, true},
	{TagDisplayTime, "display_time", 1, 1, false, false, false},
	{TagSMSSignal, "sms_signal", 2, 2, false, false, false},
	{TagMSValidity, "ms_validity", 1, 4, false, false, false},
	{TagAlertOnMessageDelivery, "alert_on_message_delivery", 0, 1, false, false, false},
	{TagITSReplyType, "its_reply_type", 1, 1, false, false, false},
	{TagITSSessionInfo, "its_session_info", 2, 2, false, false, false},
}

// TLVRules returns the row of every tag we know, in rising order of tags.
func TLVRules() []TLVRule {
	return append([]TLVRule(nil), tlvRules[:]...)
}

// Rule returns the row of t, and nil for vendors' tags and those in no version.
func (t Tag) Rule() *TLVRule {
	lo, hi := 0, len(tlvRules)
	for lo < hi {
		if mid := (lo + hi) / 2; tlvRules[mid].Tag < t {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo < len(tlvRules) && tlvRules[lo].Tag == t {
		return &tlvRules[lo]
	}
	return nil
}

// String returns the name, "message_payload", or "0x1400" for a tag we have no
// name for.
func (t Tag) String() string {
	if r := t.Rule(); r != nil {
		return r.Name
	}
	return fmt.Sprintf("0x%04x", uint16(t))
}

// Vendor reports whether t is in the range vendors define, 0x1400 to 0x3FFF.
func (t Tag) Vendor() bool { return t >= vendorTagFirst && t <= vendorTagLast }

// wrongLength says how n breaks the rule, and nothing if it does not.
func (r *TLVRule) wrongLength(n int) (string, bool) {
	switch {
	case n >= r.Min && n <= r.Max:
		return "", false
	case r.Min == r.Max:
		return fmt.Sprintf("has %d octets, %d allowed", n, r.Min), true
	}
	return fmt.Sprintf("has %d octets, %d to %d allowed", n, r.Min, r.Max), true
}
