// The bus of the classic library: named signals, slots that listen to them, in this tab or in all tabs of the origin.

import { parseJson, randomText, stored } from "./protocol.ts";

/** This page: what it says to other tabs is not for the other buses in it. */
const here = randomText(16);

type Slot = (param: any, signal: string, fromOtherTab: boolean) => unknown;

export class TabSignal {
  private readonly _slots = new Map<string, Map<string, Slot>>();
  private readonly _tabId = randomText(16);
  private _eventKey = "";
  private _channel: BroadcastChannel | undefined;

  /** `connect(signal, slot)`, or with a name of the slot in front. Returns the name. */
  connect(...args: [string, Slot] | [string, string, Slot]): string {
    const [name, signal, slot] = args.length === 2 ? [randomText(16), ...args] : args;
    if (!this._slots.has(signal)) this._slots.set(signal, new Map());
    this._slots.get(signal)!.set(name, slot);
    this._listen();
    return name;
  }

  disconnect(name: string, signal: string): boolean {
    const slots = this._slots.get(signal);
    const isThere = !!slots?.delete(name);
    if (!slots?.size) this._slots.delete(signal);
    return isThere;
  }

  clear(which: (signal: string) => boolean) {
    for (const signal of [...this._slots.keys()]) if (which(signal)) this._slots.delete(signal);
  }

  emit(signal: string, param?: any, fromOtherTab = false) {
    for (const slot of [...(this._slots.get(signal)?.values() ?? [])]) {
      try {
        slot(param, signal, fromOtherTab);
      } catch (error) {
        console.error(error);
      }
    }
  }

  send_emit(signal: string, param?: any) {
    this.emit(signal, param);
  }

  emitAll(signal: string, param?: any) {
    this.emit(signal, param);
    this._listen();
    this._channel?.postMessage([signal, param, here]);
  }

  /** Whether a signal has a slot for which `is` holds. */
  hears(is: (signal: string) => boolean): boolean {
    return [...this._slots.keys()].some(is);
  }

  /** What all tabs know by a name, for three seconds unless it is said again. */
  setState(name: string, value: any = true) {
    stored(this._stateKey(name), JSON.stringify([Date.now(), value]));
  }

  getState(name: string): any {
    const [time, value] = (parseJson(stored(this._stateKey(name)) ?? "") as any[]) ?? [0];
    return Date.now() - time < 3000 && value;
  }

  intervalUpdateState(name: string, value: any = true) {
    this.setState(name, value);
    return setInterval(() => this.setState(name, value), 1000);
  }

  getTabUUID() {
    return this._tabId;
  }

  setEventKey(key: string) {
    this._eventKey = key;
    this._channel?.close();
    this._channel = undefined;
    if (this._slots.size) this._listen();
  }

  getEventKey() {
    return this._eventKey;
  }

  private _stateKey(name: string) {
    return `tabSignal_${this._eventKey}${name}`;
  }

  private _listen() {
    try {
      this._channel ??= new BroadcastChannel(`tabSignal ${this._eventKey}`);
      this._channel.onmessage = ({ data: [signal, param, from] }) => from === here || this.emit(signal, param, true);
    } catch {
      // Not here: signals stay in this tab.
    }
  }
}
