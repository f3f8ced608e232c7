"""Types lines into a program on a terminal, each after the prompt, and prints the screen text that followed each.

Arguments: the program and its arguments. Input: JSON with the prompt as a regular expression and the lines; a line end
is typed after each. A list waits for a regular expression before the rest is typed: ["typed", "awaited", "rest"].
"""

import codecs
import json
import os
import pty
import re
import sys

JOB = json.load(sys.stdin)


def main():
    program = sys.argv[1:]
    child, terminal = pty.fork()
    if child == 0:
        os.execvp(program[0], program)
    screen = Screen(terminal)
    prompt = JOB["prompt"]
    parts = [screen.until(prompt)]
    for line in JOB["lines"]:
        typed, awaited, rest = [line, None, ""] if isinstance(line, str) else line
        screen.type(typed)
        if awaited is not None:
            screen.until(awaited)
        screen.type(rest + "\n")
        parts.append(screen.until(prompt))
    screen.type("\\q\n")
    screen.until(None)
    os.waitpid(child, 0)
    json.dump(parts, sys.stdout)


class Screen:
    def __init__(self, terminal):
        self.terminal = terminal
        self.unread = ""
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def type(self, text):
        os.write(self.terminal, text.encode())

    def until(self, pattern):
        """The text up to the end of what the pattern matches; without one, up to the end of the program."""
        while True:
            match = pattern and re.search(pattern, self.unread)
            if match:
                text = self.unread[: match.end()]
                self.unread = self.unread[match.end() :]
                return text
            try:
                more = os.read(self.terminal, 65536)
            except OSError:
                more = b""
            if not more:
                if pattern:
                    sys.exit(f"{pattern} was not seen, but {self.unread}")
                return self.unread
            # Control sequences of the line editor are no text.
            self.unread += re.sub(r"\x1b(\[[0-9;?]*[A-Za-z]|[()].)", "", self.decoder.decode(more))


main()
