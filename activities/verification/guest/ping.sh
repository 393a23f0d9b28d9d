# ping.sh HOST SECONDS PROGRAM: asks by the Perl text PROGRAM, which every Debian can run, else by ping(8),
# which busybox has too. Ends with 1 without an answer, and with 126 where neither is there.
if command -v perl > /dev/null; then
    exec perl -we "$3" -- "$1" "$2"
elif command -v ping > /dev/null; then
    said=$(ping -c 1 -W "$2" "$1" 2>&1) && { echo "$said" | sed -n 2p; exit 0; }
    echo "$said" | tail -n 1
    exit 1
fi
echo 'the machine has neither perl nor ping, so it cannot be asked'
exit 126
