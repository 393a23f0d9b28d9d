# ping.pl HOST SECONDS: sends an ICMP echo request each second until one is answered (RFC 792, RFC 4443).
# Raw sockets are root's. IPv4 answers come with their IP header and everybody's, so they are looked through.
use strict;
use warnings;
use Socket qw(:DEFAULT :addrinfo AF_INET6 SOCK_RAW unpack_sockaddr_in6 inet_ntop);

my ($host, $seconds) = @ARGV;
my ($error, @found) = getaddrinfo($host, '', { socktype => SOCK_RAW });
if ($error) { print "$host does not resolve: $error\n"; exit 1 }
my @ours = grep { $_->{family} == AF_INET || $_->{family} == AF_INET6 } @found;
my ($to) = @ours or do { print "$host has no address\n"; exit 1 };
my $six = $to->{family} == AF_INET6;
socket(my $wire, $to->{family}, SOCK_RAW, $six ? 58 : 1) or do { print "no raw socket: $!\n"; exit 3 };

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

my ($numeric) = (getnameinfo($to->{addr}, NI_NUMERICHOST, NIx_NOSERV))[1];
my $id = $$ & 0xffff;
my $end = time + $seconds;
my $sequence = 0;
my $why = '';
while (time < $end) {
    my $packet = pack('CCnnna8', $six ? 128 : 8, 0, 0, $id, ++$sequence, 'openfact');
    substr($packet, 2, 2) = pack 'n', checksum($packet) unless $six;
    $why = ": $!" unless send $wire, $packet, 0, $to->{addr};
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
