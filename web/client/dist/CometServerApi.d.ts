// The globals of the classic script: types only. The build copies this file to CometServerApi.d.ts. A program that is built says
// `import "encke-client/CometServerApi.js"`, or `/// <reference types="encke-client/CometServerApi.js" />` where a page loads the script.

/** Where a message is from. */
export interface ServerInfo {
  user_id: number;
  pipe?: string;
  event?: string;
  /** Whether it is one of the history. */
  history: boolean;
  marker?: string;
  uuid?: string;
}

/** What callbacks get; `data` is parsed if it is JSON. */
export type Callback = (message: { data: any; server_info: ServerInfo }) => unknown;

export interface ClassicOptions {
  dev_id?: number | string;
  user_id?: number | string;
  user_key?: string;
  node?: string | string[];
  nodes?: string[];
  wss?: boolean;
  roundrobin?: boolean;
  uuid?: string;
  /** False: each tab with a connection of its own. */
  shared?: boolean;
  /** Writes to the console what goes to and fro. */
  debug?: boolean;
  CookieKyeName?: string;
  CookieIdName?: string;
  [other: string]: unknown;
}

/** A bus of named signals, in this tab or in all tabs of the site. */
export interface Signals {
  connect(signal: string, slot: (param: any, signal: string, fromOtherTab: boolean) => unknown): string;
  connect(name: string, signal: string, slot: (param: any, signal: string, fromOtherTab: boolean) => unknown): string;
  disconnect(name: string, signal: string): boolean;
  emit(signal: string, param?: any): void;
  send_emit(signal: string, param?: any): void;
  emitAll(signal: string, param?: any): void;
  setState(name: string, value?: any): void;
  getState(name: string): any;
  intervalUpdateState(name: string, value?: any): unknown;
  getTabUUID(): string;
  setEventKey(key: string): void;
  getEventKey(): string;
}

/** What `cometApi` is, and what `new cometServerApi()` makes. */
export interface ClassicApi {
  version: string;
  options: ClassicOptions;
  tabSignal: Signals;
  start(options?: ClassicOptions, callback?: () => void): true;
  restart(options?: ClassicOptions): true;
  stop(): true;
  /** `"pipe"`, `"pipe.event"`, `"msg"`, `"#pipe"`, several in lines, or only a function for everything. Returns what `unsubscription` takes. */
  subscription(name: string | Callback, callback?: Callback): string | false;
  unsubscription(id: string): boolean;
  unsubscriptionAll(): true;
  web_pipe_send(pipe: string, event: string | undefined, message: unknown): boolean;
  web_pipe_send(pipeAndEvent: string, message: unknown): boolean;
  multi_web_pipe_send(pipe: string, event: string, message: any, count?: number, interval?: number): boolean;
  get_pipe_log(pipe: string, callback?: Callback): true;
  count_users_in_pipe(pipe: string, callback: Callback): true;
  getTrackPipeUsers(pipe: string, callback: Callback): true;
  getUserData(user: number | string, callback: Callback): true;
  sendStatistics(plugin: string, version: string, data: unknown): void;
  send_msg(text: string): boolean;
  msg_cultivate(message: Record<string, any>): void;
  onAuthSuccess(callback: () => void): string;
  onAuthFalill(callback: () => void): string;
  /** Undefined before the server said so. */
  isAuthorized(): boolean | undefined;
  isMaster(): boolean | undefined;
  isConnected(): boolean;
  getUserId(): number | string | undefined;
  getUserKey(): string | undefined;
  getDevId(): number | string | undefined;
  getRealUserKey(): string | undefined;
  setRealUserKey(key: string): true;
  getUUID(): string;
  getTabUUID(): string;
  getUrl(node?: number | string): string;
  UseWebSocket(wanted?: boolean): boolean;
  UseWss(wanted?: boolean): boolean;
  isUseWss(): boolean;
  getLogLevel(): number;
  setLogLevel(level: number): void;
  updateEventKey(): void;
  stripslashes(text: string): string;
  getCustomString(length?: number): string;
  readonly Base64: { encode(text: string): string; decode(text: string): string };
}

declare global {
  const cometApi: ClassicApi;
  const cometServerApi: new (options?: ClassicOptions) => ClassicApi;
  const tabSignal: Signals;
  function CometServer(): ClassicApi;
  function comet_server_signal(): Signals;
  function getCookie(name: string): string | undefined;
}
