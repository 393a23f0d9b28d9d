# put.sh PATH MODE OWNER: writes standard input to PATH, all of it or nothing. Folders that are missing are made.
set -eu
[ ! -d "$1" ] || { echo "$1 is a folder" >&2; exit 1; }
folder=$(dirname "$1")
mkdir -p "$folder"
new=$(mktemp "$folder/.openfactory.XXXXXX")
trap 'rm -f "$new"' EXIT
cat > "$new"
chown "$3" "$new"
chmod "$2" "$new"
mv -f "$new" "$1"
wc -c < "$1"
