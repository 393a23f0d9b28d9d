# missing.pl PACKAGE...: names those that are not installed, one a line.
use strict;
use warnings;

my %there;
open(my $query, '-|', 'dpkg-query', '-W', '-f=${Package} ${db:Status-Status}\n') or die "dpkg-query: $!\n";
while (<$query>) { $there{$1} = 1 if /^(\S+) installed$/ }
close $query or die "dpkg-query failed\n";
print "$_\n" for grep { !$there{$_} } @ARGV;
