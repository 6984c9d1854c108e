package pdu

import "log/slog"

// String returns the parameters on one line, masked for the log.
func (p *Bind) String() string { return line(p) }

// LogValue implements slog.LogValuer, masked as String.
func (p *Bind) LogValue() slog.Value { return slog.StringValue(line(p)) }

// String returns the parameters on one line, masked for the log.
func (p *BindResp) String() string { return line(p) }

// LogValue implements slog.LogValuer, masked as String.
func (p *BindResp) LogValue() slog.Value { return slog.StringValue(line(p)) }

// String returns the parameters on one line, masked for the log.
func (p *Outbind) String() string { return line(p) }

// LogValue implements slog.LogValuer, masked as String.
func (p *Outbind) LogValue() slog.Value { return slog.StringValue(line(p)) }

// String returns the parameters on one line, masked for the log.
func (p *SubmitSM) String() string { return line(p) }

// LogValue implements slog.LogValuer, masked as String.
func (p *SubmitSM) LogValue() slog.Value { return slog.StringValue(line(p)) }

// String returns the parameters on one line, masked for the log.
func (p *MessageResp) String() string { return line(p) }

// LogValue implements slog.LogValuer, masked as String.
func (p *MessageResp) LogValue() slog.Value { return slog.StringValue(line(p)) }

// String returns the parameters on one line, masked for the log.
func (p *DataSM) String() string { return line(p) }

// LogValue implements slog.LogValuer, masked as String.
func (p *DataSM) LogValue() slog.Value { return slog.StringValue(line(p)) }

// String returns the parameters on one line, masked for the log.
func (p *SubmitMulti) String() string { return line(p) }

// LogValue implements slog.LogValuer, masked as String.
func (p *SubmitMulti) LogValue() slog.Value { return slog.StringValue(line(p)) }

// String returns the parameters on one line, masked for the log.
func (p *SubmitMultiResp) String() string { return line(p) }

// LogValue implements slog.LogValuer, masked as String.
func (p *SubmitMultiResp) LogValue() slog.Value { return slog.StringValue(line(p)) }

// String returns the parameters on one line, masked for the log.
func (p *QuerySM) String() string { return line(p) }

// LogValue implements slog.LogValuer, masked as String.
func (p *QuerySM) LogValue() slog.Value { return slog.StringValue(line(p)) }

// String returns the parameters on one line, masked for the log.
func (p *QuerySMResp) String() string { return line(p) }

// LogValue implements slog.LogValuer, masked as String.
func (p *QuerySMResp) LogValue() slog.Value { return slog.StringValue(line(p)) }

// String returns the parameters on one line, masked for the log.
func (p *CancelSM) String() string { return line(p) }

// LogValue implements slog.LogValuer, masked as String.
func (p *CancelSM) LogValue() slog.Value { return slog.StringValue(line(p)) }

// String returns the parameters on one line, masked for the log.
func (p *ReplaceSM) String() string { return line(p) }

// LogValue implements slog.LogValuer, masked as String.
func (p *ReplaceSM) LogValue() slog.Value { return slog.StringValue(line(p)) }

// String returns the parameters on one line, masked for the log.
func (p *AlertNotification) String() string { return line(p) }

// LogValue implements slog.LogValuer, masked as String.
func (p *AlertNotification) LogValue() slog.Value { return slog.StringValue(line(p)) }
