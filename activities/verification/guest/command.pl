# command.pl USER N CONDITION{N} PROGRAM ARGUMENT...: runs the program, as USER if not empty, and says its exit
# status and which of contains=TEXT, matches=EXPRESSION and equals=TEXT hold for what it wrote (both streams);
# then an empty line and the beginning of that. Ends with 3 if nobody can tell.
use strict;
use warnings;
use POSIX qw(WNOHANG);

my ($user, $count, @rest) = @ARGV;
my @wanted = splice @rest, 0, $count;
my $most = 4 << 20;

sub cannot { my ($why) = @_; $why =~ s/\s+/ /g; print "error $why\n"; exit 3 }

cannot("there is no user $user") if $user ne '' && !defined getpwnam $user;
my @command = $user eq '' ? @rest : ('runuser', '-u', $user, '--', @rest);
pipe(my $said, my $end) or cannot("pipe: $!");
$SIG{CHLD} = sub { }; # wakes the waiting
defined(my $pid = fork) or cannot("fork: $!");
unless ($pid) {
    $SIG{CHLD} = 'DEFAULT';
    open(STDOUT, '>&', $end);
    open(STDERR, '>&', $end);
    no warnings 'exec';
    exec { $command[0] } @command;
    print STDERR "$command[0]: $!\n";
    exit 127;
}
close $end;
my ($text, $ended, $open) = ('', 0, 1);
while ($open) {
    vec(my $set = '', fileno($said), 1) = 1;
    my $ready = select $set, undef, undef, $ended ? 0.05 : 1;
    last if $ended && $ready <= 0; # what it left running may hold its output open for ever
    if ($ready > 0) {
        my $got = sysread $said, my $part, 65536;
        $open = 0 if defined $got && !$got;
        $text .= $part if $got && length($text) < $most;
    }
    $ended ||= waitpid($pid, WNOHANG) == $pid;
}
waitpid $pid, 0 unless $ended;
my $status = $? & 127 ? 128 + ($? & 127) : $? >> 8;
my $start = substr $text, 0, 2000;
my $characters = utf8::decode($text);
my $facts = "status $status\n";
for my $one (@wanted) {
    my ($name, $what) = split /=/, $one, 2;
    utf8::decode($what) if $characters;
    my $holds;
    if ($name eq 'matches') {
        my $expression = eval { qr/$what/m };
        cannot("this is no regular expression: $what") unless defined $expression;
        $holds = $text =~ $expression;
    } elsif ($name eq 'contains') {
        $holds = index($text, $what) >= 0;
    } else {
        (my $trimmed = $text) =~ s/\A\s+|\s+\z//g;
        $what =~ s/\A\s+|\s+\z//g;
        $holds = $trimmed eq $what;
    }
    $facts .= "$name " . ($holds ? 'yes' : 'no') . "\n";
}
print $facts, "\n", $start;
