// Ways to reach the server. A transport knows one link; when to come back is decided in `connection`.

import type { Transport } from "./api.ts";
import { parseJson, socketUrl, subscribedOf, type Wire } from "./protocol.ts";

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
  /** What the pipes were told to be at, and how many of a stream have not been told of yet. */
  const positions = new Map<string, string>();
  let untold = 0;
  const say = (message: object) => events.text(JSON.stringify({ pipe: "sys", ...message }));
  /** The answer to a question that is asked only to see the ones before answered. */
  const passed = (marker: string) => say({ marker, data: { user_in_pipe: 0 } });

  function stream(lines: string[]) {
    const pipes: string[] = [];
    for (const line of lines.filter(Boolean)) {
      const [pipe, position] = line.split(" ");
      pipes.push(pipe);
      if (position) positions.set(pipe, position);
    }
    untold = pipes.length;
    const last = pipes.filter((pipe) => positions.has(pipe)).map((pipe) => `${pipe}:${positions.get(pipe)}`);
    const fields = [...address.fields, ["pipes", pipes.join()], ["last", last.join()]];
    const query = fields.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join("&");
    const opened = new EventSource(`${address.base}/sse?${query}`);
    next?.close();
    next = opened;
    opened.onmessage = ({ data }) => {
      if (next === opened) {
        source?.close();
        source = opened;
        next = undefined;
      }
      const wire = parseJson(data) as Wire;
      const subscribed = subscribedOf(wire);
      const { pipe, position } = subscribed ?? wire;
      if (position) positions.set(pipe!, position);
      if (subscribed || (wire.pipe === "sys" && wire.event === "error")) untold -= 1;
      events.text(data);
      if (source === opened && untold <= 0) for (const marker of fences.splice(0)) passed(marker);
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
      else if (command === "pipe_count" && lines[0] === "web_") untold > 0 || next ? fences.push(lines[1]) : passed(lines[1]);
      else if (command !== "statistics") {
        say({ event: "error", data: { error: "This connection can only receive (Server-Sent Events): WebSocket is blocked" } });
      }
    },
    close,
  };
};
