# Runs many probes in one round trip. Each line of standard input is one: its time limit in seconds and its
# argument list, NUL-terminated, as base64. Each line of output answers one, in order: exit status (124 for
# out of time), centiseconds, and what it wrote, as base64. Nothing but the probe's own program is started,
# so that many questions cost little more than their programs. perl-base is Essential in Debian; where there
# is no Perl, `probes.sh` does the same. Run with -w: no module is loaded but `strict`, for each takes longer than the
# rest (POSIX, Errno by `%!`, even `warnings`).
use strict;

my ($ENOENT, $WNOHANG) = (2, 1); # of Linux on all processors
my ($out_most, $err_most, $grace) = (8192, 2048, 2);
$ENV{LC_ALL} = 'C';
$ENV{PATH} = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
$| = 1;

sub now { # seconds since boot; the clock on the wall may jump
    open(my $uptime, '<', '/proc/uptime') or return time;
    return (split ' ', scalar <$uptime>)[0];
}

sub decoded { # base64 is uuencode with other letters (RFC 4648)
    my ($text) = @_;
    $text =~ s/=+\z//;
    $text =~ tr|A-Za-z0-9+/| -_|;
    return join '', map { unpack 'u', chr(32 + int(length($_) * 3 / 4)) . $_ } $text =~ /(.{1,60})/gs;
}

sub encoded {
    my ($data) = @_;
    my $text = join '', map { substr $_, 1 } split /\n/, pack('u', $data);
    $text =~ tr|` -_|AA-Za-z0-9+/|;
    my $padding = (3 - length($data) % 3) % 3;
    substr($text, -$padding) = '=' x $padding if $padding && length $text;
    return $text;
}

sub started {
    my ($out, $err, @argv) = @_;
    defined(my $pid = fork) or die "fork: $!\n";
    return $pid if $pid;
    setpgrp 0, 0;
    $SIG{CHLD} = 'DEFAULT';
    open STDIN, '<', '/dev/null';
    open STDOUT, '>&', $out;
    open STDERR, '>&', $err;
    { local $^W = 0; exec { $argv[0] } @argv } # comes back only if it cannot
    my $status = $! == $ENOENT ? 127 : 126;
    syswrite STDERR, "$argv[0]: $!\n";
    exit $status;
}

sub heard { # reads what is there, or waits so many seconds for it
    my ($wait, $open) = @_;
    my $set = '';
    vec($set, $_, 1) = 1 for keys %$open;
    my $ready = select $set, undef, undef, $wait;
    return 0 if $ready <= 0;
    for my $number (grep { vec $set, $_, 1 } keys %$open) {
        my ($handle, $said, $most) = @{ $open->{$number} };
        if (sysread $handle, my $part, 65536) {
            $$said .= substr $part, 0, $most - length $$said if length $$said < $most;
        } else {
            delete $open->{$number};
        }
    }
    return 1;
}

sub probed {
    my ($limit, @argv) = @_;
    pipe(my $out, my $out_end) && pipe(my $err, my $err_end) or die "pipe: $!\n";
    my ($began, $out_said, $err_said) = (now(), '', '');
    my $pid = started($out_end, $err_end, @argv);
    close $out_end;
    close $err_end;
    my %open = (fileno($out) => [$out, \$out_said, $out_most], fileno($err) => [$err, \$err_said, $err_most]);
    my ($status, $signal, $pause, $deadline) = (undef, '', 0.001, $began + $limit);
    while (1) {
        my $ended = defined $status;
        my $heard = heard($ended ? 0.05 : %open ? 0.5 : $pause, \%open);
        $pause = $pause < 0.1 ? $pause * 2 : $pause;
        last if $ended && !$heard; # what it left running may hold its outputs open for ever
        $status = $? & 127 ? 128 + ($? & 127) : $? >> 8 if !$ended && waitpid($pid, $WNOHANG) == $pid;
        last if defined $status && !%open;
        next if $ended || now() < $deadline;
        $signal = $signal ? 'KILL' : 'TERM';
        kill $signal, -$pid;
        $deadline = now() + $grace;
    }
    $status = 124 if $signal;
    printf "%d %d o:%s e:%s\n", $status, (now() - $began) * 100, encoded($out_said), encoded($err_said);
}

$SIG{CHLD} = sub { }; # wakes the waiting
for my $line (<STDIN>) {
    my ($limit, $data) = split ' ', $line;
    my @argv = split /\0/, decoded($data), -1;
    pop @argv; # behind the last NUL there is nothing
    probed($limit, @argv);
}
