package pdu

// esm_class (SMPP v3.4 section 5.2.12). Bits 1-0 are the mode, 5-2 the type.
const (
	ESMClassModeMask     uint8 = 0x03
	ESMClassDefaultMode  uint8 = 0x00
	ESMClassDatagram     uint8 = 0x01
	ESMClassTransaction  uint8 = 0x02
	ESMClassStoreForward uint8 = 0x03

	ESMClassTypeMask     uint8 = 0x3C
	ESMClassReceipt      uint8 = 0x04 // deliver_sm: SMSC delivery receipt
	ESMClassDeliveryAck  uint8 = 0x08 // SME delivery acknowledgement
	ESMClassUserAck      uint8 = 0x10 // SME manual or user acknowledgement
	ESMClassAbort        uint8 = 0x18 // deliver_sm: conversation abort
	ESMClassIntermediate uint8 = 0x20 // deliver_sm: intermediate notification

	ESMClassUDHI      uint8 = 0x40 // the message begins with a user data header
	ESMClassReplyPath uint8 = 0x80
)

// registered_delivery (SMPP v3.4 section 5.2.17). Bits 1-0 ask for a receipt,
// 3-2 for the recipient's acknowledgements, 4 for intermediate notifications.
const (
	RegisteredReceiptMask  uint8 = 0x03
	RegisteredNone         uint8 = 0x00
	RegisteredFinal        uint8 = 0x01 // success or failure
	RegisteredFailure      uint8 = 0x02 // failure only
	RegisteredSuccess      uint8 = 0x03 // success only, v5.0
	RegisteredDeliveryAck  uint8 = 0x04
	RegisteredUserAck      uint8 = 0x08
	RegisteredIntermediate uint8 = 0x10
	registeredUndefined    uint8 = 0xE0
)

// data_coding (SMPP v3.4 section 5.2.19).
const (
	CodingDefault     uint8 = 0x00 // the SMSC's default alphabet
	CodingASCII       uint8 = 0x01 // IA5
	CodingOctets      uint8 = 0x02
	CodingLatin1      uint8 = 0x03
	CodingBinary      uint8 = 0x04 // octets too
	CodingJIS         uint8 = 0x05
	CodingCyrillic    uint8 = 0x06
	CodingHebrew      uint8 = 0x07
	CodingUCS2        uint8 = 0x08 // big-endian
	CodingPictogram   uint8 = 0x09
	CodingISO2022JP   uint8 = 0x0A
	CodingExtKanji    uint8 = 0x0D
	CodingKSC5601     uint8 = 0x0E
	CodingFlashUCS2   uint8 = 0x18 // GSM 03.38 class 0; some SMSCs
	CodingFlash       uint8 = 0xF0 // GSM message class 0, default alphabet
	CodingClassBinary uint8 = 0xF4 // GSM message class 0, 8-bit data
)

// type_of_number (SMPP v3.4 section 5.2.5).
const (
	TONUnknown         uint8 = 0
	TONInternational   uint8 = 1
	TONNational        uint8 = 2
	TONNetworkSpecific uint8 = 3
	TONSubscriber      uint8 = 4
	TONAlphanumeric    uint8 = 5
	TONAbbreviated     uint8 = 6
)

// numbering_plan_indicator (SMPP v3.4 section 5.2.6).
const (
	NPIUnknown    uint8 = 0
	NPIISDN       uint8 = 1 // E.163, E.164
	NPIData       uint8 = 3 // X.121
	NPITelex      uint8 = 4 // F.69
	NPILandMobile uint8 = 6 // E.212
	NPINational   uint8 = 8
	NPIPrivate    uint8 = 9
	NPIERMES      uint8 = 10
	NPIInternet   uint8 = 14
	NPIWAP        uint8 = 18
)

// interface_version (SMPP v3.4 section 5.2.4). Below Version34 a peer knows no
// TLVs.
const (
	Version33 uint8 = 0x33
	Version34 uint8 = 0x34
	Version50 uint8 = 0x50
)

// priority_flag (SMPP v3.4 section 5.2.14).
const MaxPriority uint8 = 3
