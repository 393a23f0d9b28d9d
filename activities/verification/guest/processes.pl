# processes.pl NAME USER: says "PID USER" of each process of that name (of USER, if not empty; a name or a
# number), at most 50, then "count N". A process goes by its comm, and by the file name of its program or
# of its first argument, because comm holds 15 characters only. This program itself is none of them.
use strict;
use warnings;

my ($name, $user) = @ARGV;
my $count = 0;

sub content {
    my ($file) = @_;
    open(my $handle, '<', $file) or return '';
    local $/;
    my $text = <$handle>;
    return defined $text ? $text : '';
}

sub base { my ($path) = @_; $path =~ s{.*/}{}s; return $path }

for my $folder (sort { substr($a, 6) <=> substr($b, 6) } glob '/proc/[0-9]*') {
    my $pid = substr $folder, 6;
    next if $pid == $$;
    my $stat = content("$folder/stat");
    next if $stat eq '' || $stat =~ /\) [ZX] [^)]*\z/;
    chomp(my $comm = content("$folder/comm"));
    my ($first) = split /\0/, content("$folder/cmdline");
    my $program = readlink "$folder/exe";
    $program =~ s/ \(deleted\)\z// if defined $program;
    next unless grep { defined $_ && base($_) eq $name } $comm, $first, $program;
    my $uid = (stat $folder)[4];
    next unless defined $uid;
    my $owner = getpwuid $uid;
    $owner = $uid unless defined $owner;
    next if $user ne '' && $user ne $owner && $user ne $uid;
    print "$pid $owner\n" if $count++ < 50;
}
print "count $count\n";
