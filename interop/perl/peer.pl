# Net::SMPP, ESME or SMSC, as the Go tests tell it: a JSON command a line on standard
# input, a JSON event a line on standard output (see ../peer_test.go). It decides nothing
# but what every user of Net::SMPP has to: it answers enquire_link.
use strict;
use warnings;

use IO::Select;
use JSON::PP;
use Net::SMPP;

$| = 1;
my $json = JSON::PP->new->canonical->allow_nonref->latin1;
my ($listener, %sessions, %name_of);
my $accepted = 0;
my $select = IO::Select->new(\*STDIN);

sub tell_test { print $json->encode($_[0]), "\n" }

# What is octets, and not a text or a number; every TLV is, too.
my %octets = (short_message => 1);
my %tlv = map { $_->{name} => 1 } values %{Net::SMPP::param_tab()};
# What Net::SMPP calls otherwise than the specification.
my %own_name = (dest_port => 'destination_port');
my %spec_name = reverse %own_name;
my %head = map { $_ => 1 } qw(cmd status seq data reserved known_pdu);

# described writes what Net::SMPP read of one PDU. A field's second name, its number or
# the one of version 4, is left out.
sub described {
    my ($pdu) = @_;
    my %fields;
    for my $name (keys %$pdu) {
        next if $head{$name} || $name =~ /^\d+$/ || !defined $pdu->{$name};
        my $v = $pdu->{$name};
        # In query_sm_resp it is a field of the body.
        my $is_tlv = $tlv{$name} && !($name eq 'message_state' && $pdu->{cmd} == 0x80000003);
        $fields{ $spec_name{$name} || $name } = $octets{$name} || $is_tlv ? { hex => unpack 'H*', $v } : $v =~ /^(0|[1-9][0-9]?[0-9]?)$/ ? 0 + $v : $v;
    }
    my $known = Net::SMPP::pdu_tab->{ $pdu->{cmd} };
    return {
        command => $known ? $known->{cmd} : 'unknown', id => $pdu->{cmd}, length => 16 + length $pdu->{data},
        status => $pdu->{status}, sequence => $pdu->{seq}, fields => \%fields,
    };
}

sub inward {
    my ($fields) = @_;
    return map {
        my $v = $fields->{$_};
        ($own_name{$_} || $_ => ref $v eq 'HASH' ? pack('H*', $v->{hex}) : $v)
    } sort keys %{ $fields || {} };
}

sub watch {
    my ($name, $s) = @_;
    $sessions{$name} = { smpp => $s, tags => {} };
    $name_of{ fileno $s } = $name;
    $select->add($s);
}

sub ended {
    my ($name) = @_;
    my $s = delete $sessions{$name} or return;
    $select->remove($s->{smpp});
    delete $name_of{ fileno $s->{smpp} };
    close $s->{smpp};
    tell_test({ event => 'closed', session => $name });
}

my %do = (
    connect => sub {
        my ($c) = @_;
        my $s = Net::SMPP->new_connect('127.0.0.1', port => $c->{port}, async => 1) or die "connect: $!";
        watch($c->{session}, $s);
        tell_test({ event => 'connected', session => $c->{session} });
    },
    listen => sub {
        $listener = Net::SMPP->new_listen('127.0.0.1', port => 0) or die "listen: $!";
        $select->add($listener);
        tell_test({ event => 'listening', port => $listener->sockport });
    },
    send => sub {
        my ($c) = @_;
        my ($s, $method) = ($sessions{ $c->{session} }, $c->{command});
        my $seq = $s->{smpp}->$method(inward($c->{fields}), async => 1);
        $s->{tags}{$seq} = $c->{tag};
    },
    answer => sub {
        my ($c) = @_;
        my $method = $c->{command} . '_resp';
        $sessions{ $c->{session} }{smpp}->$method(inward($c->{fields}), seq => $c->{sequence}, status => $c->{status});
    },
    raw => sub {
        my ($c) = @_;
        $sessions{ $c->{session} }{smpp}->syswrite(pack 'H*', $c->{hex});
    },
    close => sub { ended($_[0]{session}) },
);

sub heard {
    my ($name) = @_;
    my $s = $sessions{$name};
    # Net::SMPP warns about every end of a connection and every TLV it does not know.
    local $SIG{__WARN__} = sub { };
    my $pdu = $s->{smpp}->read_pdu;
    return ended($name) if !$pdu;
    my $out = { event => 'pdu', session => $name, pdu => described($pdu) };
    if ($pdu->{cmd} & 0x80000000 and defined(my $tag = delete $s->{tags}{ $pdu->{seq} })) {
        @$out{qw(event tag)} = ('answer', $tag);
    }
    $s->{smpp}->enquire_link_resp(seq => $pdu->{seq}) if $pdu->{cmd} == 0x15;
    tell_test($out);
}

my $input = '';
while (1) {
    for my $ready ($select->can_read) {
        if ($ready == \*STDIN) {
            sysread(STDIN, $input, 65536, length $input) or exit 0;
            while ($input =~ s/^(.*)\n//) {
                my $c = $json->decode($1);
                $do{ $c->{do} }->($c);
            }
        } elsif ($listener && $ready == $listener) {
            my $s = $listener->accept or next;
            my $name = 'accepted-' . ++$accepted;
            watch($name, $s);
            tell_test({ event => 'accepted', session => $name });
        } elsif (defined(my $name = $name_of{ fileno $ready })) {
            heard($name);
        }
    }
}
