# Says the default gateway and whether it answers. A datagram to it makes the kernel ask for its
# link-layer address; ping would need a package more, and raw sockets.
set -eu
route=$(ip -4 route show default | head -n 1)
[ -n "$route" ] || route=$(ip -6 route show default | head -n 1)
gateway=$(printf '%s\n' "$route" | sed -n 's/.* via \([^ ]*\).*/\1/p')
[ -n "$gateway" ] || { echo 'no default gateway'; exit 1; }
perl -MIO::Socket::IP -e '
    my $s = IO::Socket::IP->new(Proto => "udp", PeerHost => $ARGV[0], PeerPort => 9); $s && $s->send("\n")' "$gateway"
tries=0
while [ "$tries" -lt 20 ]; do
    neighbour=$(ip neigh show to "$gateway")
    case $neighbour in
        *lladdr*) echo "$gateway answers"; exit 0 ;;
    esac
    tries=$((tries + 1))
    sleep 0.2
done
echo "$gateway does not answer: ${neighbour:-no neighbour entry}"
exit 1
