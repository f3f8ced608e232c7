// The API of the classic library, on the same connection as the promise-based one, with the globals that pages expect.
//
// Where it differs on purpose: tabs share a connection, nodes are alternatives, `subscription(function)` and `@web_` work,
// names that nobody listens to any more are left, no text loses backslashes, and nothing that the server says is executed.

import type { Callback, ClassicApi, ClassicOptions } from "./classic-api.ts";
import { addressOf, complain, isBrowser, isPipe, isSecure, isSys, ownId, parseJson, randomText, type Settings, socketUrl, stored, type Wire } from "./protocol.ts";
import { homeOf, settingsOf } from "./settings.ts";
import { TabSignal } from "./signals.ts";
import { Tab } from "./tab.ts";
import { loaded, webSocket } from "./transport.ts";

const VERSION = "4.10";
/** How long a message that may come twice is remembered. */
const TWICE_MS = 180_000;
const TWICE_MAX = 10_000;
const HISTORY_MAX = 1_000;
const ALL = "comet_server_msg";

const script = (globalThis.document?.currentScript as HTMLScriptElement | undefined)?.src;
const home = homeOf(script);
// By its whole address, because a script of another site has none of its own; from the server if only this file was copied.
const longPolling = loaded("longPolling", (base) => {
  const from = (place: string) => import(`${place}/encke-http.js`);
  return script ? from(script.replace(/\/[^/]*$/, "")).catch(() => from(base)) : from(base);
});

/** The bus of the first instance; every other one has its own. */
const bus = new TabSignal();
let isBusTaken = false;

class CometServerApi implements ClassicApi {
  version = VERSION;
  options: ClassicOptions = {};
  tabSignal = isBusTaken ? new TabSignal() : bus;
  custom_id = this.tabSignal.getTabUUID();
  subscription_array: string[] = [];
  socketArray: unknown[] = [];
  messageHistory: string[] = [];
  private readonly _uuid = ownId();
  private _tab: Tab | undefined;
  private _isStarted = false;
  /** What the connection was opened with. */
  private _openedWith = "";
  private _status: boolean | undefined;
  private _realKey: string | undefined;
  private _usesSocket = true;
  private _logLevel = 0;
  private _twice = new Set<string>();
  private _twiceSince = 0;
  /** What was asked before `start`. */
  private _early: (() => void)[] = [];

  constructor(options?: ClassicOptions) {
    isBusTaken = true;
    Object.assign(this.options, options);
    this._logLevel = Number(stored("comet_LogLevel")) || 0;
  }

  // Connecting

  start(options?: ClassicOptions, callback?: () => void): true {
    Object.assign(this.options, options);
    this._isStarted = true;
    this._open();
    if (callback) setTimeout(callback);
    return true;
  }

  restart(options?: ClassicOptions): true {
    this.stop();
    return this.start(options);
  }

  stop(): true {
    this._isStarted = false;
    this._tab?.stop();
    this._tab = undefined;
    return true;
  }

  /** Connects, or connects anew if the options changed. */
  private _open() {
    const settings = this._settings();
    const { user_id, roundrobin, shared } = this.options;
    const used = JSON.stringify([settings, roundrobin, shared, this._usesSocket]);
    if (this._tab && used === this._openedWith) return;
    this._tab?.stop();
    this._openedWith = used;
    this.updateEventKey();
    const count = settings.bases.length;
    const first = roundrobin ? Number(user_id) % count || Math.floor(Math.random() * count) : 0;
    this._tab = new Tab(settings, this._usesSocket && globalThis.WebSocket ? [webSocket, longPolling] : [longPolling], first, shared !== false, {
      wire: (wire) => this._take(wire),
      state: (state) => this._log(1, state),
      subscribed: (pipe, again, recovered, history) => {
        if (again && !recovered) this.tabSignal.emit("__comet_gap", { pipe, history });
      },
      refused: (pipe, why) => this._fail(`${pipe}: ${why}`),
    });
    if (isBrowser()) this._tab.start();
    else complain("no-browser");
    this._tab.want(named(this.subscription_array));
    for (const ask of this._early.splice(0)) ask();
  }

  private _settings(): Settings {
    const { node, nodes, wss, dev_id, CookieKyeName, CookieIdName } = this.options;
    const named = ([] as string[]).concat(node ?? nodes ?? []).filter(Boolean);
    const url = (named.length ? named : [home]).map((one) =>
      /^\w+:\/\//.test(one) || wss === undefined ? one : `http${wss ? "s" : ""}://${one}`,
    );
    const wanted = {
      user: this.options.user_id ?? (CookieIdName && getCookie(CookieIdName)),
      key: this.options.user_key ?? (CookieKyeName && getCookie(CookieKyeName)),
      dev: dev_id,
      uuid: this.getUUID(),
    };
    // What cannot be used counts as not given, as it did to CppComet's server, and keeps nothing else away.
    const options: Record<string, any> = { url };
    for (const [name, value] of Object.entries(wanted)) {
      try {
        settingsOf({ url, [name]: value }, home);
        options[name] = value;
      } catch (error) {
        console.error(error);
      }
    }
    return settingsOf({ uuid: this._uuid, ...options, debug: this.options.debug }, home);
  }

  // Subscriptions

  subscription(name: string | Callback, callback?: Callback): string | false {
    if (typeof name === "function") [name, callback] = ["", name];
    if (callback !== undefined && typeof callback !== "function") {
      console.error("CometServerApi: no function");
      return false;
    }
    const slot = randomText(16);
    for (const one of namesOf(name)) {
      if (callback) this.tabSignal.connect(slot, signalOf(one), this._filtered(callback));
      const pipe = pipeOf(one);
      if (pipe !== undefined && !this.subscription_array.includes(pipe)) this.subscription_array.push(pipe);
    }
    this._tab?.want(named(this.subscription_array));
    return `${name}&&${slot}`;
  }

  unsubscription(id: string): boolean {
    const [name, slot] = String(id).split("&&");
    const found = namesOf(name).map((one) => this.tabSignal.disconnect(slot, signalOf(one)));
    // Whoever listens to everything still wants it.
    if (!this.tabSignal.hears((signal) => signal === ALL)) {
      this.subscription_array = this.subscription_array.filter((pipe) =>
        this.tabSignal.hears((signal) => signal === pipe || signal.startsWith(`${pipe}.`)),
      );
      this._tab?.want(named(this.subscription_array));
    }
    return found.includes(true);
  }

  unsubscriptionAll(): true {
    this.subscription_array = [];
    this._tab?.want(named([]));
    this.tabSignal.clear((signal) => !signal.startsWith("__comet_"));
    return true;
  }

  /** A callback is not for answers to other tabs. */
  private _filtered(callback: Callback) {
    return (message: any) => {
      const { marker } = message?.server_info ?? {};
      if (!marker || marker === this.custom_id) callback(message);
    };
  }

  // Publishing

  web_pipe_send(pipe: string, ...rest: [unknown] | [string | undefined, unknown]): boolean {
    let [event, message] = rest as [any, any];
    if (rest.length === 1) {
      const dot = pipe.indexOf(".");
      message = event;
      event = dot < 0 ? undefined : pipe.slice(dot + 1);
      if (dot >= 0) pipe = pipe.slice(0, dot);
    }
    event = event || "undefined";
    if (!/^(@?web_|webauth_)[\w-]*$/.test(pipe) || pipe.length > 64 || !/^[\w-]{1,64}$/.test(event)) {
      console.error(
        `CometServerApi: cannot publish "${event}" in "${pipe}": web_* and webauth_* only`,
      );
      return false;
    }
    const text = JSON.stringify(message) ?? "null";
    this._note(`web_pipe2\n${pipe}\n${event}\n*\n${text}`);
    const name = `_answer_to_${pipe.replace("@", "")}`;
    this._ask(
      (tab) => tab.ask("publish", pipe, event, text),
      (number_messages) =>
        this.msg_cultivate({ pipe: name, event: "answer", data: { error: "", message: text, number_messages } }),
    );
    return this._tab?.state === "connected";
  }

  multi_web_pipe_send(pipe: string, event: string, message: any, count = 3, interval = 1000): boolean {
    const marked = { ...Object(message), _cometApi_uuid: `jsapi${randomText(11)}` };
    for (let again = 1; again < count; again++) setTimeout(() => this.web_pipe_send(pipe, event, marked), again * interval);
    return this.web_pipe_send(pipe, event, marked);
  }

  // Questions

  getTrackPipeUsers(pipe: string, callback: Callback): true {
    return this._question((tab) => tab.ask("members", pipe), callback, "_answer", "answer");
  }

  getUserData(user: number | string, callback: Callback): true {
    const wrap = (user_data: string) => ({ user_data, user_id: Number(user) });
    return this._question((tab) => tab.ask("userData", String(user)), callback, "_answer", "answer", wrap);
  }

  count_users_in_pipe(pipe: string, callback: Callback): true {
    const wrap = (user_in_pipe: number) => ({ user_in_pipe });
    return this._question((tab) => tab.ask("count", pipe), callback, "_answer_pipe_count", "user_in_pipe", wrap);
  }

  /** The callback gets what is published from now on as well. */
  get_pipe_log(pipe: string, callback?: Callback): true {
    if (callback) this.subscription(pipe, callback);
    this._ask(
      (tab) => tab.ask("history", pipe),
      (found: Wire[]) => found.forEach((wire) => this.msg_cultivate(wire)),
    );
    return true;
  }

  sendStatistics(plugin: string, version: string, data: unknown) {
    this.send_msg(`statistics\n${JSON.stringify({ plugin: { name: plugin, version, data } })}`);
  }

  /** One command of the protocol. */
  send_msg(text: string): boolean {
    const [command, ...lines] = text.split("\n");
    if (/^subscription2?$/.test(command)) return !!this.subscription(lines.join("\n"));
    this._note(text);
    this._ask((tab) => tab.ask("raw", text));
    return this._tab?.state === "connected";
  }

  private _question(
    ask: (tab: Tab) => Promise<any>,
    callback: Callback,
    pipe: string,
    event: string,
    wrap = (value: any) => value,
  ): true {
    const server_info = { user_id: 0, pipe, event, history: false, marker: this.custom_id };
    this._ask(ask, (value) => callback?.({ data: wrap(value), server_info }));
    return true;
  }

  private _ask(ask: (tab: Tab) => Promise<any>, done?: (value: any) => void) {
    const tab = this._tab;
    if (tab) ask(tab).then((value) => done?.(value)).catch(({ message }: Error) => this._fail(message.replace(/^encke: (server|unable): |\. See \S+$/g, "")));
    else this._early.push(() => this._ask(ask, done));
  }

  private _note(text: string) {
    if (this.messageHistory.length < HISTORY_MAX) this.messageHistory.push(text);
    this._log(2, "->", text);
  }

  // Who and where

  onAuthSuccess(callback: () => void) {
    return this.tabSignal.connect("__comet_onAuthSuccess", callback);
  }

  onAuthFalill(callback: () => void) {
    return this.tabSignal.connect("__comet_onAuthFalill", callback);
  }

  isAuthorized() {
    return this._status;
  }

  isMaster() {
    return this._tab && !!this._tab.leader;
  }

  isConnected() {
    return this._tab?.state === "connected" || this._tab?.state === "connecting";
  }

  getUserId() {
    return this.options.user_id;
  }

  getUserKey() {
    return this.options.user_key;
  }

  getDevId() {
    return this.options.dev_id;
  }

  getRealUserKey() {
    return this._realKey;
  }

  setRealUserKey(key: string): true {
    this._realKey = key;
    return true;
  }

  getUUID(): string {
    return (this.options.uuid as string) || this._uuid;
  }

  getTabUUID() {
    return this.custom_id;
  }

  getUrl(node = 0) {
    const settings = this._settings();
    if (typeof node === "string") return socketUrl(addressOf({ ...settings, bases: [node] }, 0));
    return socketUrl(addressOf(settings, node));
  }

  UseWebSocket(wanted?: boolean) {
    if (wanted !== undefined) this._usesSocket = !!wanted;
    if (this._isStarted) this._open();
    return this._usesSocket;
  }

  UseWss(wanted?: boolean) {
    if (wanted !== undefined) this.options.wss = wanted;
    return this.isUseWss();
  }

  isUseWss() {
    return this.options.wss ?? isSecure();
  }

  getLogLevel() {
    return this._logLevel;
  }

  setLogLevel(level: number) {
    this._logLevel = level;
    stored("comet_LogLevel", String(level));
  }

  updateEventKey() {
    const { node, nodes, dev_id, user_id } = this.options;
    this.tabSignal.setEventKey(`${([] as string[]).concat(node ?? nodes ?? home).join("_")}_${dev_id}_${user_id}`);
  }

  stripslashes(text: string): string {
    return String(text).replace(/\\([^]?)/g, (_, next) => (next === "0" ? "\0" : next));
  }

  getCustomString(length = 10) {
    return randomText(length);
  }

  readonly Base64 = {
    encode: (text: string) => btoa(String.fromCharCode(...new TextEncoder().encode(text))),
    /** What is not of the alphabet is passed over, and so is a last character that means nothing alone. */
    decode(text: string) {
      const kept = String(text).replace(/[^\w+/]|_/g, "");
      const bytes = atob(kept.length % 4 === 1 ? kept.slice(0, -1) : kept);
      return new TextDecoder().decode(Uint8Array.from(bytes, (char) => char.charCodeAt(0)));
    },
  };

  // What arrives

  private _take(wire: Wire) {
    if (isSys(wire, "serverInfo")) {
      // Before anybody asks for it in a callback.
      this._realKey = String(wire.data).replace(" ", "_");
      const status = wire.authorized === true;
      if (status === this._status) return;
      this._status = status;
      this.tabSignal.emit(status ? "__comet_onAuthSuccess" : "__comet_onAuthFalill");
    } else {
      this.msg_cultivate(wire);
    }
  }

  /** Hands one message to whoever listens. */
  msg_cultivate(wire: Wire & Record<string, any>, _node?: number) {
    if (!wire || wire.data === undefined) return;
    this._log(2, "<-", wire);
    const data = this._decoded(wire.data);
    // What a publisher writes counts in its pipe and for its user only: nobody can keep away what others say.
    const own = data?._cometApi_uuid && JSON.stringify([wire.pipe, wire.user_id, data._cometApi_uuid]);
    if (this._isTwice(wire.uuid) || this._isTwice(own)) return;
    if (own) delete data._cometApi_uuid;
    const { pipe, event, marker, uuid } = wire;
    const server_info = { user_id: wire.user_id || 0, pipe, event, history: wire.history === true, marker, uuid };
    const message = { data, server_info };
    if (pipe === undefined || pipe === "msg") {
      this.tabSignal.emit(`msg.${event}`, message);
      this.tabSignal.emit("msg", message);
    } else {
      this.tabSignal.emit(pipe, message);
      this.tabSignal.emit(`${pipe}.${event}`, message);
    }
    if (marker) this.tabSignal.emit(marker, message);
    this.tabSignal.emit(ALL, message);
  }

  /** Backends of the old library may have escaped once or twice too much. */
  private _decoded(data: any): any {
    if (typeof data !== "string") return data;
    let text = data;
    for (let level = 0; level < 3; level++) {
      const parsed = parseJson(text);
      if (parsed !== undefined) return parsed;
      text = this.stripslashes(text);
    }
    return data;
  }

  private _isTwice(uuid?: string): boolean {
    if (!uuid) return false;
    if (Date.now() - this._twiceSince > TWICE_MS || this._twice.size >= TWICE_MAX) {
      this._twice.clear();
      this._twiceSince = Date.now();
    }
    if (this._twice.has(uuid)) return true;
    this._twice.add(uuid);
    return false;
  }

  private _fail(why: string) {
    this._log(0, why);
    this.msg_cultivate({ pipe: "sys", event: "error", data: { error: why, number_messages: -1 } });
  }

  private _log(level: number, ...words: unknown[]) {
    if (level === 0) console.error("CometServerApi:", ...words);
    else if (this._logLevel >= level) console.log("CometServerApi:", ...words);
  }
}

/** Several names are separated by line ends; none means everything. */
const namesOf = (name: string) => (name === "" ? [""] : name.split("\n").map((one) => one.trim()).filter(Boolean));

const signalOf = (name: string) => (name === "" ? ALL : name[0] === "#" ? `_answer_to_${name.slice(1)}` : name);

/** The pipe that the server is asked for; the server's own ones come without that. */
function pipeOf(name: string): string | undefined {
  const [pipe] = name.split(".");
  return isPipe(pipe) && !/^(msg$|sys$|_answer)/.test(pipe) ? pipe : undefined;
}

/** As a tab wants them. */
const named = (pipes: string[]) => new Map(pipes.map((pipe) => [pipe, 0]));

/** A frame without an origin may not even ask. */
function cookies(): string {
  try {
    return document.cookie;
  } catch {
    return "";
  }
}

function getCookie(name: string): string | undefined {
  const found = cookies().split("; ").find((one) => one.startsWith(`${name}=`));
  return found && decodeURIComponent(found.slice(name.length + 1));
}

const cometApi = new CometServerApi();

Object.assign(globalThis, {
  cometApi,
  CometServer: () => cometApi,
  cometServerApi: CometServerApi,
  _cometServerApi: CometServerApi,
  tabSignal: bus,
  _tabSignal: TabSignal,
  comet_server_signal: () => bus,
  getCookie,
});
