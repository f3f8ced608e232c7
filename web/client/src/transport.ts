// Ways to reach the server. A transport knows one link; when to come back is decided in `connection`.

import type { Transport } from "./api.ts";
import { socketUrl } from "./protocol.ts";

export const webSocket: Transport = (address, events) => {
  const socket = new WebSocket(socketUrl(address));
  socket.onopen = () => events.open();
  socket.onmessage = (frame) => events.text(frame.data);
  socket.onclose = ({ code, wasClean }) => events.close(code, wasClean);
  return {
    send: (text) => socket.send(text),
    close() {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    },
  };
};

/**
 * For networks that break WebSocket: receives only. Each change of the subscriptions is a new stream, which replaces the
 * last one when it is there.
 */
export const serverSentEvents: Transport = (address, events) => {
  let source: EventSource | undefined;
  let next: EventSource | undefined;
  const fences: string[] = [];
  const say = (message: object) => events.text(JSON.stringify({ pipe: "sys", ...message }));

  /** The answer to a question that is asked only to see the ones before answered. */
  const passed = (marker: string) => say({ marker, data: { user_in_pipe: 0 } });

  function stream(lines: string[]) {
    const pipes = lines.map((line) => line.split(" ")).filter(([pipe]) => pipe);
    const fields = [...address.fields, ["pipes", pipes.map(([pipe]) => pipe).join()]];
    const query = fields.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join("&");
    const opened = new EventSource(`${address.base}/sse?${query}`);
    next?.close();
    next = opened;
    opened.onmessage = ({ data }) => {
      if (next === opened) {
        source?.close();
        source = opened;
        next = undefined;
        events.text(data);
        // The stream names no positions, so whatever was named is not recovered.
        for (const [pipe, position] of pipes) {
          say({ event: "subscribed", data: { pipe, position: position || null, recovered: position ? false : undefined } });
        }
        for (const marker of fences.splice(0)) passed(marker);
      } else {
        events.text(data);
      }
    };
    opened.onerror = () => {
      if (opened !== source && opened !== next) return;
      close();
      events.close(1006, false);
    };
  }

  function close() {
    source?.close();
    next?.close();
    source = next = undefined;
  }

  setTimeout(() => {
    events.open();
    if (!next) stream([]);
  });
  return {
    send(text) {
      const [command, ...lines] = text.split("\n");
      if (command === "subscription2") stream(lines);
      else if (command === "pipe_count" && lines[0] === "web_") next ? fences.push(lines[1]) : passed(lines[1]);
      else if (command !== "statistics") {
        say({ event: "error", data: { error: "This connection can only receive (Server-Sent Events): WebSocket is blocked" } });
      }
    },
    close,
  };
};
