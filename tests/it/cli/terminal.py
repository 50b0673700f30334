"""Runs a command on a terminal of its own: terminal.py [[prompt, answer, is_hidden], ...] COMMAND...

Each answer is typed once its prompt is shown and, where it must not be seen, once the terminal shows no input. Prints how
the command ended and everything that the terminal showed.
"""

import json, os, pty, select, sys, termios, time
answers, command = json.loads(sys.argv[1]), sys.argv[2:]
child, terminal = pty.fork()
if child == 0:
    os.execvp(command[0], command)
deadline, shown, seen = time.monotonic() + 30, b"", 0

def more():
    global shown
    ready, _, _ = select.select([terminal], [], [], max(0, deadline - time.monotonic()))
    if not ready:
        sys.exit("it waits: %r" % shown)
    try:
        read = os.read(terminal, 4096)
    except OSError:  # How Linux tells that the other side is closed.
        read = b""
    shown += read
    return read

for prompt, answer, hidden in answers:
    while prompt.encode() not in shown[seen:] and more():
        pass
    seen = len(shown)
    while hidden and termios.tcgetattr(terminal)[3] & termios.ECHO:
        if time.monotonic() > deadline:
            sys.exit("the answer to %r would be shown" % prompt)
        time.sleep(0.01)
    os.write(terminal, answer.encode() + b"\n")
while more():
    pass
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(json.dumps({"code": status, "shown": shown.decode()}))
