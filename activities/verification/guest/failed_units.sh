# Names each failed unit, followed by the last lines of its journal, each set in by two spaces.
set -u
systemctl list-units --state=failed --plain --no-legend --no-pager --full | while read -r unit _; do
    echo "$unit"
    journalctl -b -u "$unit" -n 8 -o cat --no-pager 2> /dev/null | cut -c 1-300 | sed 's/^/  /'
done
