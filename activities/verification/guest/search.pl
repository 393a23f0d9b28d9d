# search.pl PATH contains=TEXT matches=EXPRESSION: says which of them the file holds, and the first line that
# matches. In EXPRESSION ^ and $ stand for the ends of lines. Ends with 2 if there is no such file, with 3 if
# nobody can tell.
use strict;
use warnings;
use Errno qw(ENOENT ENOTDIR);

my ($path, @wanted) = @ARGV;
my $most = 32 << 20;

sub cannot { my ($why) = @_; $why =~ s/\s+/ /g; print "error $why\n"; exit 3 }

cannot("$path is a folder") if -d $path;
open(my $file, '<', $path) or do {
    exit 2 if $! == ENOENT || $! == ENOTDIR;
    cannot("$path: $!");
};
my $text = '';
while (length($text) < $most) {
    my $got = sysread($file, $text, 1 << 20, length $text);
    cannot("$path: $!") unless defined $got;
    last unless $got;
}
my $whole = length($text) < $most;
my $bytes = length $text;
my $characters = utf8::decode($text);
my ($line, $missing) = ('', 0);
for my $one (@wanted) {
    my ($name, $what) = split /=/, $one, 2;
    utf8::decode($what) if $characters;
    my $expression = $name eq 'matches' ? eval { qr/$what/m } : qr/\Q$what\E/;
    cannot("this is no regular expression: $what") unless defined $expression;
    my $found = $text =~ $expression;
    $line = substr($text, $-[0], 200) if $found;
    $line =~ s/\n.*//s;
    $missing ||= !$found;
    print "$name ", ($found ? 'yes' : 'no'), "\n";
}
cannot("only the first $most bytes of $path were searched") if $missing && !$whole;
utf8::encode($line) if $characters;
print "line $line\n" if $line =~ /\S/;
print "bytes $bytes\n";
