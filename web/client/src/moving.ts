// From one connection to the next, when the server asks for it: the next one is opened and recovers while the old one goes on,
// and only when all of it is there the tabs get their messages from it. So nothing is missed, doubled or out of order.
//
// Until then the tabs hear the old connection, and what the next one says waits. Of that they get what the old one has not
// said at about the same time.

import { subscribedOf, type Wire } from "./protocol.ts";

/** What may be on its way on the old connection when it has answered a question; and what both say they say within this time. */
const LATE_MS = 800;
/** So long answers are waited for on the old connection, and what both say is compared. */
const OVER_MS = 2_000;

const keyOf = ({ pipe, event, data }: Wire) => JSON.stringify([pipe, event, data]);

export function move(leader: any) {
  const old = leader._connection;
  // It moves already, or is over.
  if (!old._settings || old.state === "closed") return;
  const events = old._events;
  const said: [key: string, at: number][] = [];
  const waiting: [wire: Wire, at?: number][] = [];
  /** Of the one that the tabs do not hear. */
  const quiet = { ...events, wire: (wire: Wire) => waiting.push([wire, Date.now()]), state() {} };
  // To the next server.
  const next = new old.constructor(old._settings, old._transports, quiet, old._node + 1);
  next._wanted = new Map(old._wanted);
  next._leaving = new Set(old._leaving);
  const note = (wire: Wire) => said.push([keyOf(wire), Date.now()]);
  const take = (wire: Wire, at = Date.now()) => {
    const place = said.findIndex(([key, other]) => key === keyOf(wire) && at - other < LATE_MS);
    if (place < 0) events.wire(wire);
    else said.splice(place, 1);
  };
  /** A question whose answer shows that everything before it is answered. */
  const settled = (connection: any) => connection.ask(["pipe_count\nweb_\nm\n"], (wire: Wire) => wire.marker === "m" || undefined);

  /** Both are asked until the next one has all pipes. */
  const go = (): unknown =>
    settled(next)
      .then(() => settled(old))
      .then(() => setTimeout(() => ([...old._confirmed].every((pipe) => next.isConfirmed(pipe)) ? end(next, true) : go()), LATE_MS), () => {});

  /** `isWhole`: the old connection said everything that the next one does not say. */
  function end(chosen: any, isWhole?: boolean) {
    if (leader._connection !== moving) return;
    leader._connection = chosen;
    old._events = events;
    if (chosen === old) return next.close();
    old._events = quiet;
    for (const [wire, at] of waiting) {
      const subscribed = subscribedOf(wire);
      // Of what the tabs are subscribed to already they hear only if something is missing.
      const isKnown = isWhole && subscribed && subscribed.recovered !== false && old.isConfirmed(subscribed.pipe);
      if (!isKnown) take(wire, at);
    }
    next._events = { ...events, wire: take };
    setTimeout(() => (old.close(), (next._events = events)), isWhole ? OVER_MS : 0);
  }

  const moving = (leader._connection = Object.assign(Object.create(old), {
    _settings: 0,
    want(...wanted: unknown[]) {
      old.want(...wanted);
      next.want(...wanted);
    },
    leave(pipe: string) {
      old.leave(pipe);
      next.leave(pipe);
    },
    close() {
      old.close();
      next.close();
    },
    ask(texts: string[], ...more: unknown[]) {
      const [command, pipe, event, , ...lines] = texts[0].split("\n");
      // The server does not say it to the connection that it comes from, but to the other one.
      if (command === "web_pipe2") note({ pipe: pipe.replace("@", ""), event, data: lines.join("\n") });
      return old.ask(texts, ...more);
    },
  }));
  old._events = {
    ...events,
    wire(wire: Wire) {
      note(wire);
      const subscribed = subscribedOf(wire);
      // Wanted meanwhile: the next one may have asked for it without knowing from where.
      if (subscribed && leader._knowing(subscribed.pipe)[0]) next.want(subscribed.pipe, subscribed.position);
      events.wire(wire);
    },
    state(told: any) {
      if (told.state === "reconnecting") end(next.state === "connected" ? next : old);
      if (leader._connection !== next) events.state(told);
    },
  };
  next.open();
  go();
}
