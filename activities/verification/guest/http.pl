# http.pl URL METHOD SECONDS TEXT: asks once and says what came: the status, and whether TEXT is in the body.
# perl-base is Essential, so this runs in every Debian image; TLS it leaves to curl, which recipes with
# claims about https addresses bring along. Certificates are not judged: none is issued for 127.0.0.1.
use strict;
use warnings;
use IO::Socket::IP;

my ($url, $method, $seconds, $text) = @ARGV;
my $most = 1 << 20;
my $payload = $method =~ /^(?:POST|PUT)$/ ? "Content-Length: 0\r\n" : '';

sub fail { my ($why) = @_; $why =~ s/\s+/ /g; print "error $why\n"; exit 1 }

sub cannot { my ($why) = @_; print "error $why\n"; exit 3 }

sub take {
    my ($from) = @_;
    my $all = '';
    while (length($all) < $most) {
        my $got = sysread($from, $all, 65536, length $all);
        last unless $got;
    }
    return $all;
}

sub over_tls {
    my @head = $method eq 'HEAD' ? ('--head') : ('--request', $method);
    push @head, '--data', '' if $payload;
    open(my $curl, '-|', 'curl', '--insecure', '--silent', '--show-error', '--include', '--http1.1',
        '--noproxy', '*', '--max-time', $seconds, @head, '--', $url) or cannot("curl: $!");
    my $all = take($curl);
    close $curl;
    fail('curl ended with status ' . ($? >> 8)) if $all eq '';
    return $all;
}

sub plain {
    my ($authority, $path) = $url =~ m{^http://([^/?#]+)([^#]*)}i or fail('this is no address');
    $path = "/$path" unless $path =~ m{^/};
    my ($host, $port) = $authority =~ /^(\[[^\]]+\]|[^:]+)(?::(\d+))?$/ or fail('this is no host');
    (my $peer = $host) =~ s/[\[\]]//g;
    my $socket = IO::Socket::IP->new(PeerHost => $peer, PeerPort => $port || 80, Timeout => $seconds)
        or fail("cannot connect: $@");
    print {$socket} "$method $path HTTP/1.1\r\nHost: $authority\r\nUser-Agent: openfactory-verification\r\n",
        "Accept: */*\r\n${payload}Connection: close\r\n\r\n";
    $socket->flush;
    return take($socket);
}

sub unchunked {
    my ($rest) = @_;
    my $body = '';
    while ($rest =~ s/^([0-9A-Fa-f]+)[^\r\n]*\r?\n//) {
        my $size = hex $1 or last;
        $body .= substr($rest, 0, $size, '');
        $rest =~ s/^\r?\n//;
    }
    return $body;
}

$SIG{ALRM} = sub { fail("no answer within $seconds s") };
$SIG{PIPE} = 'IGNORE';
alarm $seconds;
my $tls = $url =~ /^https:/i;
my ($head, $body) = split /\r?\n\r?\n/, ($tls ? over_tls() : plain()), 2;
fail('it closed the connection without an answer') unless defined $head && length $head;
my ($status) = $head =~ m{^HTTP/[\d.]+ (\d{3})} or fail('the answer is not HTTP');
$body = '' unless defined $body;
$body = unchunked($body) if !$tls && $head =~ /^transfer-encoding:[ \t]*chunked/im;
print "status $status\n", 'contains ', (index($body, $text) >= 0 ? 'yes' : 'no'), "\nbytes ", length($body), "\n";
