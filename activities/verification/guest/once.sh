# once.sh NAME PROGRAM ARGUMENT...: runs the program once for each NAME. Who asks again is told what it said then, and
# waits for it if it still runs. /run is empty after a start, as is what the program had begun before it.
set -u
folder=/run/openfactory-steps
step=$folder/$1
shift
mkdir -p -m 0700 "$folder"
exec 9> "$step.lock"
flock 9
if [ ! -e "$step.status" ]; then
    if [ -e "$step.began" ]; then
        echo 'it was killed in the machine before it ended, and is not begun again' >&2
        exit 137
    fi
    : > "$step.began"
    trap 'echo 124 > "$step.status"; exit 124' TERM # out of time
    "$@" > "$step.out" 2> "$step.err" 9>&-
    echo $? > "$step.new"
    mv "$step.new" "$step.status"
fi
cat "$step.out"
cat "$step.err" >&2
exit "$(cat "$step.status")"
