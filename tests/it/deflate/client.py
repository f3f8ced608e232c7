"""A browser with permessage-deflate: reads a job as JSON, says what it saw as JSON.

Half of the job is the library's: it offers the extension, and refuses what it did not agree to.
"""

import json
import sys

from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.sync.client import connect


def session(job, factory):
    extensions = [factory] if factory else None
    with connect(job["url"], compression=None, extensions=extensions, max_size=None) as socket:
        seen = {"extensions": [repr(extension) for extension in socket.protocol.extensions]}
        json.loads(socket.recv(timeout=10))
        compressed = count_compressed(socket)
        # Long enough that the library's own compression makes a difference.
        socket.send("subscription\n" + "\n".join([job["pipe"]] + ["web_other_%d" % n for n in range(200)]))
        print("subscribed", flush=True)
        seen["received"] = [json.loads(socket.recv(timeout=20))["data"] for _ in range(job["messages"])]
        seen["compressed"] = compressed["frames"]
        if job["bomb"]:
            try:
                socket.send("web_pipe2\n" + "x" * 20_000_000)
                socket.recv(timeout=20)
                seen["end"] = "none"
            except ConnectionClosed as closed:
                seen["end"] = closed.rcvd.code if closed.rcvd else None
        return seen


def count_compressed(socket):
    counts = {"frames": 0}
    for extension in socket.protocol.extensions:
        decode = extension.decode

        def counting(frame, *, max_size=None, decode=decode):
            counts["frames"] += frame.rsv1
            return decode(frame, max_size=max_size)

        extension.decode = counting
    return counts


def main():
    job = json.loads(sys.stdin.readline())
    factories = {
        "plain": None,
        "full": ClientPerMessageDeflateFactory(),
        "small": ClientPerMessageDeflateFactory(server_max_window_bits=9, client_max_window_bits=9),
    }
    print(json.dumps(session(job, factories[job["client"]])))


main()
