// node-smpp, ESME or SMSC, as the Go tests tell it: a JSON command a line on standard
// input, a JSON event a line on standard output (see ../peer_test.go). It decides
// nothing but what every user of node-smpp has to: it answers enquire_link.
'use strict';

const readline = require('readline');
const smpp = require('smpp');

const sessions = {};
let accepted = 0;

function tell(event) {
	process.stdout.write(JSON.stringify(event) + '\n');
}

const head = new Set(['command', 'command_length', 'command_id', 'command_status', 'sequence_number']);

// outward writes what node-smpp read of one field; octets as {hex}, a text that it
// decoded as {text, udh}. Dates keep what was meant: milliseconds.
function outward(command, name, value) {
	if (Buffer.isBuffer(value)) {
		return {hex: value.toString('hex')};
	}
	if (value instanceof Date) {
		return {date: value.getTime()};
	}
	if (value && typeof value === 'object' && 'message' in value) {
		const out = Buffer.isBuffer(value.message) ? {hex: value.message.toString('hex')} : {text: value.message};
		if (value.udh) {
			out.udh = value.udh.map(e => e.toString('hex')).join('');
		}
		return out;
	}
	const params = (smpp.commands[command] || {}).params || {};
	const tlv = name in params ? null : smpp.tlvs[name];
	if (tlv && typeof value === 'number') {
		const b = Buffer.alloc(tlv.type.size(value));
		tlv.type.write(value, b, 0);
		return {hex: b.toString('hex')};
	}
	return value;
}

function described(pdu) {
	const fields = {};
	for (const name of Object.keys(pdu)) {
		if (!head.has(name)) {
			fields[name] = outward(pdu.command, name, pdu[name]);
		}
	}
	return {
		command: pdu.command, id: pdu.command_id, length: pdu.command_length,
		status: pdu.command_status, sequence: pdu.sequence_number, fields,
	};
}

// inward is the reverse, for what node-smpp is to send.
function inward(fields) {
	const out = {};
	for (const name of Object.keys(fields || {})) {
		const v = fields[name];
		if (v && typeof v === 'object' && !Array.isArray(v)) {
			const octets = 'hex' in v ? Buffer.from(v.hex, 'hex') : null;
			const tlv = smpp.tlvs[name];
			if (octets && tlv && typeof tlv.type.default === 'number') {
				out[name] = tlv.type.read(octets, 0);
			} else if (octets) {
				out[name] = octets;
			} else {
				out[name] = v.udh ? {message: v.text, udh: Buffer.from(v.udh, 'hex')} : {message: v.text};
			}
		} else {
			out[name] = v;
		}
	}
	return out;
}

function watch(name, session) {
	const s = sessions[name] = {session, open: {}, tags: {}};
	session.on('pdu', pdu => {
		const seq = pdu.sequence_number;
		if (pdu.isResponse() && seq in s.tags) {
			tell({event: 'answer', session: name, tag: s.tags[seq], pdu: described(pdu)});
			delete s.tags[seq];
			return;
		}
		if (!pdu.isResponse()) {
			s.open[seq] = pdu;
		}
		if (pdu.command === 'enquire_link') {
			session.send(pdu.response());
		}
		tell({event: 'pdu', session: name, pdu: described(pdu)});
	});
	session.on('error', e => tell({event: 'error', session: name, error: String(e)}));
	session.on('close', () => tell({event: 'closed', session: name}));
}

const commands = {
	connect(c) {
		const options = {host: '127.0.0.1', port: c.port};
		const session = smpp.connect(options, () => tell({event: 'connected', session: c.session}));
		watch(c.session, session);
	},
	listen() {
		const server = smpp.createServer(session => {
			const name = 'accepted-' + ++accepted;
			watch(name, session);
			tell({event: 'accepted', session: name});
		});
		server.listen(0, '127.0.0.1', () => tell({event: 'listening', port: server.address().port}));
	},
	send(c) {
		const s = sessions[c.session];
		const pdu = new smpp.PDU(c.command, inward(c.fields));
		s.session.send(pdu);
		s.tags[pdu.sequence_number] = c.tag;
	},
	answer(c) {
		const s = sessions[c.session];
		const fields = inward(c.fields);
		if (c.status) {
			fields.command_status = c.status;
		}
		s.session.send(s.open[c.sequence].response(fields));
		delete s.open[c.sequence];
	},
	raw(c) {
		sessions[c.session].session.socket.write(Buffer.from(c.hex, 'hex'));
	},
	close(c) {
		sessions[c.session].session.close();
	},
	tlv(c) {
		smpp.addTLV(c.name, {id: c.id, type: {
			read: (b, at, n) => b.slice(at, at + n),
			write: (v, b, at) => v.copy(b, at),
			size: v => v.length,
			default: null,
		}});
	},
};

readline.createInterface({input: process.stdin}).on('line', line => {
	const c = JSON.parse(line);
	commands[c.do](c);
}).on('close', () => process.exit(0));
