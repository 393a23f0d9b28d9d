# Runs many probes in one round trip. Each line of standard input is one: its time limit in seconds
# and its argument list, NUL-terminated, as base64. Each line of output answers one, in order: exit
# status (124 for out of time), centiseconds, and what it wrote, as base64. Only Essential packages
# are used. Recipe data never becomes shell text: it goes from base64 to NUL lists to argument lists.
set -u
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
work=$(mktemp -d /run/openfactory-probes.XXXXXX) || exit 70
trap 'rm -rf "$work"' EXIT

now() { # centiseconds since boot
    read -r up _ < /proc/uptime
    whole=${up%.*} part=${up#*.}
    echo "$((whole * 100 + ${part#0}))"
}

while read -r limit data; do
    printf '%s' "$data" | base64 -d > "$work/argv" || exit 70
    : > "$work/out" > "$work/err"
    echo 125 > "$work/status"
    began=$(now)
    xargs -0 -x -s 1000000 -a "$work/argv" sh -c '
        timeout -k 2 "$@" > "$0/out" 2> "$0/err" < /dev/null
        echo $? > "$0/status"' "$work" "$limit"
    spent=$(($(now) - began))
    printf '%s %s o:%s e:%s\n' "$(cat "$work/status")" "$spent" \
        "$(head -c 8192 "$work/out" | base64 -w 0)" "$(head -c 2048 "$work/err" | base64 -w 0)"
done
