# Waits until the start is over (systemctl(1), is-system-running --wait); says its state, that of
# multi-user.target, and the jobs that still run.
systemctl is-system-running --wait
systemctl is-active multi-user.target
systemctl list-jobs --no-legend --no-pager --full | cut -c 1-200
exit 0
