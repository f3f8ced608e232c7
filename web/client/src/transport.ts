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

/** For networks that let single requests through only: receives, publishes, changes its pipes without a new connection. */
export const longPolling: Transport = ({ base, fields }, events) => {
  const ends = new AbortController();
  const fences: string[] = [];
  let untold = 0;
  let known = new Set<string>();
  let id = "";
  let seq = 0;
  let pipes: Record<string, string> | undefined;
  let turn: AbortController | undefined;
  const say = (message: object) => events.text(JSON.stringify({ pipe: "sys", ...message }));

  async function request(path: string, query: Record<string, string>, body?: string, signal = ends.signal) {
    const answer = await fetch(`${base}/poll${path}?${new URLSearchParams(query)}`, { method: body === undefined ? "GET" : "POST", body, signal });
    if (!answer.ok) throw new Error(String(answer.status));
    return answer;
  }

  function settle() {
    if (untold <= 0) for (const marker of fences.splice(0)) say({ marker, data: { user_in_pipe: 0 } });
  }

  async function poll() {
    const named = pipes;
    turn = new AbortController();
    try {
      const wires: Wire[] = await (await request("", { id, seq: String(seq), ...named }, undefined, turn.signal)).json();
      if (pipes === named) pipes = undefined;
      seq += wires.length;
      for (const wire of wires) {
        if (ends.signal.aborted) return;
        if (subscribedOf(wire) || (wire.pipe === "sys" && wire.event === "error")) untold -= 1;
        events.text(JSON.stringify(wire));
      }
      settle();
    } catch (error) {
      // Asked anew, because the pipes changed.
      if (!turn.signal.aborted || ends.signal.aborted) throw error;
    }
  }

  async function run() {
    ({ id, seq } = await (await request("/sign", Object.fromEntries(fields))).json());
    events.open();
    while (!ends.signal.aborted) await poll();
  }

  run().catch(() => ends.signal.aborted || events.close(1006, false));
  return {
    send(text) {
      const [command, ...lines] = text.split("\n");
      if (command === "subscription2") {
        const wanted = lines.filter(Boolean).map((line) => line.split(" "));
        untold += wanted.filter(([pipe]) => !known.has(pipe)).length;
        known = new Set(wanted.map(([pipe]) => pipe));
        const last = wanted.filter(([, position]) => position).map((one) => one.join(":"));
        pipes = { pipes: [...known].join(), last: last.join() };
        turn?.abort();
      } else if (command === "pipe_count" && lines[0] === "web_") {
        fences.push(lines[1]);
        settle();
      } else if (command === "web_pipe2") {
        const [pipe, event, , ...body] = lines;
        const failed = (error: Error) => ends.signal.aborted || say({ event: "error", data: { error: `not published: ${error.message}` } });
        request("/pub", { id, pipe, event }, body.join("\n")).catch(failed);
      } else {
        say({ event: "error", data: { error: "This connection has no answer to that (long polling): WebSocket is blocked" } });
      }
    },
    close() {
      ends.abort();
      turn?.abort();
    },
  };
};
