// The ways to reach the server by plain HTTP, for pages that get no WebSocket through. A file of its own, `encke-http.js`,
// which the libraries load when they need it.

import type { LinkEvents, Transport } from "./api.ts";
export { move } from "./moving.ts";
import { isSys, parseJson, subscribedOf, type Wire } from "./protocol.ts";

/** How long a poll that carries pipes is left alone, so that the server has it before the next one comes. */
const CARRY_MS = 1_000;

/** An answer about a pipe that is asked for. Errors of publications are none. */
const isTold = (wire: Wire) => subscribedOf(wire) || (isSys(wire, "error") && wire.data.code === "403");

/** The answer to a question that is asked only to see the ones before answered. */
const passed = (events: LinkEvents, marker: string) => events.text(JSON.stringify({ pipe: "sys", marker, data: 0 }));

/** Receives only. Each change of the subscriptions is a new stream, which replaces the last one when it is there. */
export const serverSentEvents: Transport = (address, events) => {
  let source: EventSource | undefined;
  let next: EventSource | undefined;
  const fences: string[] = [];
  /** What the pipes were told to be at, and how many of a stream have not been told of yet. */
  const positions = new Map<string, string>();
  let untold = 0;

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
      const { pipe, position } = subscribedOf(wire) ?? wire;
      if (position) positions.set(pipe!, position);
      if (isTold(wire)) untold -= 1;
      events.text(data);
      if (source === opened && untold <= 0) for (const marker of fences.splice(0)) passed(events, marker);
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
      else if (command === "pipe_count" && lines[0] === "web_") untold > 0 || next ? fences.push(lines[1]) : passed(events, lines[1]);
      else if (command !== "statistics") events.refuse(text, "events only receive");
    },
    close,
  };
};

/** Receives, publishes, changes its pipes without a new connection. */
export const longPolling: Transport = ({ base, fields }, events) => {
  const ends = new AbortController();
  const fences: string[] = [];
  /** The sets of pipes that the server has not been told yet: one poll for each, in their order. */
  const lists: Record<string, string>[] = [];
  let known: string[] = [];
  let untold = 0;
  let id = "";
  let seq = 0;
  let turn: AbortController | undefined;
  let carriedAt = 0;
  let timer: any;
  /** Publications keep their order. */
  let published = Promise.resolve<unknown>(0);

  async function request(path: string, query: Record<string, string>, body?: string, signal = ends.signal) {
    const answer = await fetch(`${base}/poll${path}?${new URLSearchParams(query)}`, { method: body === undefined ? "GET" : "POST", body, signal });
    if (!answer.ok) throw Error(answer.status as any);
    return answer;
  }

  function settle() {
    if (untold > 0) return;
    for (const marker of fences.splice(0)) passed(events, marker);
  }

  /** Ends the poll that waits, so that one with other pipes is sent. */
  function hurry() {
    const waiting = turn;
    clearTimeout(timer);
    timer = setTimeout(() => waiting?.abort(), Math.max(0, carriedAt + CARRY_MS - Date.now()));
  }

  async function poll() {
    const [list] = lists;
    const current = (turn = new AbortController());
    carriedAt = list ? Date.now() : 0;
    if (lists[1]) hurry();
    let wires: Wire[] = [];
    try {
      wires = await (await request("", { id, seq: String(seq), ...list }, undefined, current.signal)).json();
    } catch (error) {
      // Asked anew, because the pipes changed.
      if (!current.signal.aborted || ends.signal.aborted) throw error;
    }
    if (list) lists.shift();
    seq += wires.length;
    for (const wire of wires) {
      if (ends.signal.aborted) return;
      if (isTold(wire)) untold -= 1;
      events.text(JSON.stringify(wire));
      // What follows from a message happens before the next one, as over other ways.
      await null;
    }
    settle();
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
        untold += wanted.filter(([pipe]) => !known.includes(pipe)).length;
        known = wanted.map(([pipe]) => pipe);
        const last = wanted.filter(([, position]) => position).map((one) => one.join(":"));
        lists.push({ pipes: known.join(), last: last.join() });
        hurry();
      } else if (command === "pipe_count" && lines[0] === "web_") {
        fences.push(lines[1]);
        settle();
      } else if (command === "web_pipe2") {
        const [pipe, event, , ...body] = lines;
        const publish = () => request("/pub", { id, pipe, event }, body.join("\n"));
        published = published.then(publish).catch((error) => ends.signal.aborted || events.refuse(text, error.message));
      } else if (command !== "statistics") {
        events.refuse(text, "long polling has no answer");
      }
    },
    close() {
      ends.abort();
      turn?.abort();
    },
  };
};
