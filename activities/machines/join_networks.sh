# Gives this machine its addresses on private networks and tells it the other machines' names.
# Arguments: for how many seconds to wait for a DHCP client's addresses; then for each network the MAC address of the
# card, and the address with its prefix length.
# Standard input: lines for /etc/hosts. Harmless to repeat.
# It runs while the machine is still booting, where every program costs a tenth of a second when emulated: so the
# shell does what it can by itself.
set -eu

newline='
'

find_card() {
    for path in /sys/class/net/*; do
        card=${path##*/}
        read -r mac 2> /dev/null < "$path/address" || continue
        if [ "$mac" = "$1" ]; then return; fi
    done
    echo "no network card has the address $1" >&2
    exit 3
}

has_address() {
    case $(ip -4 address show dev "$1") in
        *" inet $2/"*) return 0 ;;
        *) return 1 ;;
    esac
}

# A DHCP client of the machine's own comes first; what has none for this card is given the address.
join() {
    find_card "$1"
    tries=0
    while ! has_address "$card" "${2%/*}"; do
        if [ "$tries" -ge "$patience" ]; then
            ip link set "$card" up
            ip address add "$2" dev "$card"
        else
            tries=$((tries + 1))
            sleep 1
        fi
    done
}

patience=$1
shift
while [ "$#" -ge 2 ]; do
    join "$1" "$2"
    shift 2
done

begin='# BEGIN machines on private networks'
end='# END machines on private networks'
hosts= inside=
if [ -e /etc/hosts ]; then
    while IFS= read -r line || [ -n "$line" ]; do
        case $line in
            "$begin") inside=yes ;;
            "$end") inside= ;;
            *) [ -n "$inside" ] || hosts=$hosts$line$newline ;;
        esac
    done < /etc/hosts
fi
hosts=$hosts$begin$newline
while IFS= read -r line || [ -n "$line" ]; do
    hosts=$hosts$line$newline
done
printf '%s%s\n' "$hosts" "$end" > /etc/hosts
