# Names the nameservers in use; those behind systemd-resolved's stub if that is what resolv.conf has.
for file in /run/systemd/resolve/resolv.conf /etc/resolv.conf; do
    found=$(sed -n 's/^nameserver[[:space:]]*\([^[:space:]]*\).*/\1/p' "$file" 2> /dev/null | grep -v '^127\.0\.0\.5[34]$')
    [ -z "$found" ] || { echo "$found"; exit 0; }
done
exit 1
