"""Run by ssh(1) as its ProxyCommand: connects to a UNIX socket and hands the connection over.

`ProxyUseFdpass` in ssh_config(5): one byte with the descriptor goes to standard output, which is a socket.
"""

import socket
import sys


def main() -> None:
    """Connect to the socket that the first argument names."""
    with socket.socket(socket.AF_UNIX) as wire, socket.socket(fileno=sys.stdout.fileno()) as ssh:
        wire.connect(sys.argv[1])
        socket.send_fds(ssh, [b"\0"], [wire.fileno()])


if __name__ == "__main__":
    main()
