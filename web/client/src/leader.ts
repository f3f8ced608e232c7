// What the leading tab does for all tabs: one connection, the union of their pipes, their questions.

import type { Transport } from "./api.ts";
import { Connection, fence, MINE, type StateTold } from "./connection.ts";
import { more } from "./transport.ts";
import { type Settings, type Subscribed, type Told, type Wire, isServers, isSys, randomText, subscribedOf } from "./protocol.ts";

/** A pipe that a tab wants, and what it has of it: undefined if it is new there, null if it keeps no history. */
export type Want = [pipe: string, position: string | null | undefined];

export type Ask =
  | ["publish", pipe: string, event: string, text: string]
  | ["history" | "count" | "members", pipe: string]
  | ["userData" | "lastSeen", user: string]
  | ["raw", text: string];

export type FromTab =
  | { kind: "want"; wants: Want[] }
  | { kind: "ask"; id: number; ask: Ask }
  /** The page is seen again; `now` if it wants to be connected anew. */
  | { kind: "wake"; now?: boolean }
  /** Asks whether the leader is there. */
  | { kind: "ping" }
  | { kind: "bye" };

export type ToTab =
  /** The leader is there. */
  | { kind: "lead" }
  | ({ kind: "state"; info?: Wire } & StateTold)
  | { kind: "wire"; wire: Wire }
  /** A pipe that the connection is subscribed to already. */
  | { kind: "joined"; data: Subscribed }
  /** What another tab published: the server does not send it back to the connection that it came from. */
  | { kind: "echo"; wire: Wire }
  | { kind: "refused"; pipes: string[]; why: string }
  /** The question is the leader's now; should that go, nobody knows what became of it. */
  | { kind: "took"; id: number }
  | { kind: "reply"; id: number; value?: any; error?: Told };

/** Whether this becomes a part of the classic script. */
declare const CLASSIC: boolean;

/** To some tabs, or to all. */
export type Emit = (message: ToTab, to?: string[]) => void;

export class Leader {
  private readonly _tabs = new Map<string, Set<string>>();
  /** Another one while it moves. */
  _connection: Connection;
  private _info: Wire | undefined;

  constructor(
    private readonly _settings: Settings,
    transports: Transport[],
    firstNode: number,
    private readonly _emit: Emit,
    /** Tells when a tab has gone. */
    private readonly _onGone: (tab: string, gone: () => void) => void,
  ) {
    this._connection = new Connection(
      _settings,
      transports,
      {
        wire: (wire) => {
          if (isSys(wire, "moving")) return more().then((part) => part.move(this), () => {});
          if (isSys(wire, "serverInfo")) this._info = wire;
          const { pipe } = subscribedOf(wire) ?? wire;
          // Not to a tab that wants the pipe from elsewhere, and has not said so yet.
          _emit({ kind: "wire", wire }, isServers(pipe) || wire.history ? undefined : this._knowing(pipe!));
        },
        state: (told) => _emit({ kind: "state", ...told }),
        refused: (pipes, why) => _emit({ kind: "refused", pipes, why }),
      },
      firstNode,
    );
  }

  open() {
    this._connection.open();
    this._emit({ kind: "lead" });
  }

  close() {
    this._connection.close();
  }

  take(tab: string, message: FromTab) {
    if (message.kind === "want") this._want(tab, message.wants);
    else if (message.kind === "ask") this._ask(tab, message.id, message.ask);
    else if (message.kind === "wake") message.now ? this._connection.reconnect() : this._connection.wake();
    else if (message.kind === "ping") this._emit({ kind: "lead" });
    else this._forget(tab);
  }

  private _want(tab: string, wants: Want[]) {
    let known = this._tabs.get(tab);
    if (!known) {
      this._tabs.set(tab, (known = new Set()));
      this._onGone(tab, () => this._forget(tab));
      const { told } = this._connection;
      if (told) this._emit({ kind: "state", ...told, info: this._info }, [tab]);
    }
    const named = new Set(wants.map(([pipe]) => pipe));
    for (const pipe of known) {
      if (!named.has(pipe)) {
        known.delete(pipe);
        this._leave(pipe);
      }
    }
    for (const [pipe, has] of wants) {
      // Who has no position waits to be told one.
      if (known.has(pipe) && has !== undefined) continue;
      known.add(pipe);
      // What the connection has is not asked for again.
      this._connection.want(pipe, has?.[0] === "~" && this._connection.isConfirmed(pipe) ? undefined : has);
      if (!this._connection.isConfirmed(pipe)) continue;
      const position = this._connection.position(pipe) ?? null;
      // The tab missed nothing if its position is the connection's: who is behind makes it ask again.
      const recovered = has === undefined ? undefined : !!(has && position);
      this._emit({ kind: "joined", data: { pipe, position, recovered } }, [tab]);
    }
  }

  private _forget(tab: string) {
    const known = this._tabs.get(tab);
    this._tabs.delete(tab);
    for (const pipe of known ?? []) this._leave(pipe);
  }

  /** The tabs that want a pipe. */
  private _knowing(pipe: string): string[] {
    return [...this._tabs.keys()].filter((tab) => this._tabs.get(tab)!.has(pipe));
  }

  private _leave(pipe: string) {
    if (!this._knowing(pipe).length) this._connection.leave(pipe);
  }

  private _ask(tab: string, id: number, ask: Ask) {
    this._emit({ kind: "took", id }, [tab]);
    this._answer(ask).then(
      (value) => {
        this._emit({ kind: "reply", id, value }, [tab]);
        if (ask[0] !== "publish") return;
        const wire = this._echo(ask[1], ask[2], ask[3]);
        this._emit({ kind: "echo", wire }, this._knowing(wire.pipe!).filter((other) => other !== tab));
      },
      (error: Told) => this._emit({ kind: "reply", id, error }, [tab]),
    );
  }

  private _echo(pipe: string, event: string, text: string): Wire {
    const isHidden = pipe[0] === "@";
    return {
      pipe: pipe.replace("@", ""),
      event,
      data: text,
      user_id: isHidden || !this._info?.authorized ? 0 : Number(this._settings.user),
      message_send_time: Math.floor(Date.now() / 1000),
    };
  }

  private _answer(ask: Ask): Promise<unknown> {
    const connection = this._connection;
    const marker = randomText(10);
    const marked = (wire: Wire) => wire.marker === marker || undefined;
    switch (ask[0]) {
      case "publish": {
        const [, pipe, event, text] = ask;
        const report = `_answer_to_${pipe.replace("@", "")}`;
        const take = (wire: Wire) => (wire.pipe === report && wire.data.message === text ? wire.data.number_messages : undefined);
        return connection.ask([`web_pipe2\n${pipe}\n${event}\n*\n${text}`], take, false);
      }
      case "history": {
        // An answer has no end of its own: the one of the next question marks it.
        const found: Wire[] = [];
        const [command, isAnswer] = fence();
        return connection.ask([`pipe_log\n${ask[1]}\n${marker}\n`, command], (wire) => {
          if (!wire.history || wire.pipe !== ask[1]) return isAnswer(wire) && found;
          found.push(wire);
          return MINE;
        });
      }
      case "count":
        return connection.ask([`pipe_count\n${ask[1]}\n${marker}\n`], (wire) => marked(wire) && wire.data.user_in_pipe);
      case "members":
        return connection.ask([`track_pipe_users\n${ask[1]}\n${marker}`], (wire) => marked(wire) && wire.data);
      case "userData":
        return connection.ask([`user_data\n${marker}\n${ask[1]}`], (wire) => marked(wire) && wire.data.user_data);
      case "lastSeen": {
        const take = (wire: Wire) => (wire.pipe === "_answer_user_status" ? wire.data.data : undefined);
        return connection.ask([`user_status\n${ask[1]}`], take);
      }
      default:
        return CLASSIC ? connection.ask([ask[1]]) : undefined!;
    }
  }
}
