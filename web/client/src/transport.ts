// Ways to reach the server. A transport knows one link; when to come back is decided in `connection`.

import type { Link, Transport } from "./api.ts";
import { complain, socketUrl } from "./protocol.ts";

export const webSocket: Transport = (address, events) => {
  const socket = new WebSocket(socketUrl(address));
  socket.onopen = () => events.open();
  socket.onmessage = (frame) => events.text(frame.data);
  socket.onclose = ({ code, wasClean, reason }) => events.close(code, wasClean, reason);
  return {
    send: (text) => socket.send(text),
    close() {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    },
  };
};

type Part = { serverSentEvents: Transport; longPolling: Transport; move(leader: object): void };

/** Where the rest of the library comes from. */
export let more: () => Promise<Part>;

/** A transport of `encke-http.js`, which is loaded when a page first needs it. */
export function loaded(name: "serverSentEvents" | "longPolling", load: (base: string) => Promise<Part>): Transport {
  more = load as any;
  return (address, events) => {
    let link: Link | undefined;
    let isOver = false;
    load(address.base).then(
      (part) => isOver || (link = part[name](address, events)),
      (error) => (complain("no-connection", error), events.close(1006, false)),
    );
    return {
      send: (text) => link!.send(text),
      close() {
        isOver = true;
        link?.close();
      },
    };
  };
}
