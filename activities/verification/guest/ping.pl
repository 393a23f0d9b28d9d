# ping.pl HOST SECONDS: sends an ICMP echo request each second until one is answered (RFC 792, RFC 4443).
# A host that has both kinds of addresses is asked over IPv4. Raw sockets are root's. IPv4 answers come with their IP
# header, and everybody's, so they are looked through.
use strict;

my ($AF_INET, $AF_INET6, $SOCK_RAW) = (2, 10, 3); # of Linux

my ($host, $seconds) = @ARGV;
my ($six, $address, $numeric) = found($host);
socket(my $wire, $six ? $AF_INET6 : $AF_INET, $SOCK_RAW, $six ? 58 : 1) or do { print "no raw socket: $!\n"; exit 3 };

# The module that knows IPv6 takes an emulated machine a quarter of a second to load: most names need none.
sub found {
    my ($host) = @_;
    my (undef, undef, undef, undef, $four) = gethostbyname $host;
    return (0, pack('S n a4 x8', $AF_INET, 0, $four), join('.', unpack 'C4', $four)) if defined $four;
    require Socket;
    my ($error, $one) = Socket::getaddrinfo($host, '', { socktype => $SOCK_RAW, family => $AF_INET6 });
    if ($error) { print "$host does not resolve: $error\n"; exit 1 }
    my (undef, $numeric) = Socket::getnameinfo($one->{addr}, Socket::NI_NUMERICHOST(), Socket::NIx_NOSERV());
    return (1, $one->{addr}, $numeric);
}

sub checksum {
    my ($data) = @_;
    my $sum = 0;
    $sum += $_ for unpack 'n*', $data . (length($data) % 2 ? "\0" : '');
    $sum = ($sum >> 16) + ($sum & 0xffff) while $sum >> 16;
    return ~$sum & 0xffff;
}

sub answered {
    my ($packet, $id) = @_;
    $packet = substr $packet, 4 * (ord($packet) & 15) unless $six;
    return unless length($packet) >= 8;
    my ($type, undef, undef, $theirs) = unpack 'CCnn', $packet;
    return $type == ($six ? 129 : 0) && $theirs == $id;
}

my $id = $$ & 0xffff;
my $end = time + $seconds;
my $sequence = 0;
my $why = '';
while (time < $end) {
    my $packet = pack('CCnnna8', $six ? 128 : 8, 0, 0, $id, ++$sequence, 'openfact');
    substr($packet, 2, 2) = pack 'n', checksum($packet) unless $six;
    $why = ": $!" unless send $wire, $packet, 0, $address;
    my $next = time + 1;
    while (time <= $next && time < $end) {
        my $set = '';
        vec($set, fileno($wire), 1) = 1;
        last unless select($set, undef, undef, 1);
        recv($wire, my $got, 2048, 0) or next;
        if (answered($got, $id)) { print "$numeric answers\n"; exit 0 }
    }
}
print "$numeric does not answer within $seconds s$why\n";
exit 1;
