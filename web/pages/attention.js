// What needs attention on the dashboard: from the figures of now and of a minute ago to sentences with a level.

import { bytes, number } from "./encke-pages.js";

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
export const WORDS = { good: "Fine", note: "Note", wait: "Warning", bad: "Error" };

/**
 * `now`: the last message; `before`: one of about a minute ago; `seconds` between them; `about`: what the server told of
 * itself; `cores`: processor time of each thread, of one core; `lines`: the last warnings.
 */
export function attention({ now, before, seconds, about, cores, lines }) {
  const found = [];
  const add = (level, text, example) => found.push({ level, text: example ? `${text} For example: ${example}` : text });
  const { all, machine } = now;
  const since = (name) => Math.max(0, all[name] - (before?.all[name] ?? all[name]));
  const often = (count) => `${number(count)} in the last ${seconds >= 55 ? "minute" : `${Math.max(1, Math.round(seconds))} s`} (${number(count / Math.max(1, seconds))} a second)`;
  const some = (level, name, text, example) => since(name) > 0 && add(level, text(often(since(name))), example);
  const limits = about?.limits ?? {};

  // What is kept
  if (all.storage_down) add("bad", `The database cannot be reached: nobody new can log in, ${number(all.storage_waiting)} writes (${bytes(all.storage_waiting_bytes)}) wait for it.`);
  if (all.storage_read_fails) add("bad", "The database cannot be read: logins and histories fail. The log says why.");
  if (all.storage_full) add("bad", "The disk is full: nothing is stored. Messages still go out to those who are connected. Once there is room, it goes on by itself.");
  if (all.storage_write_fails) add("bad", "Writes to the database fail. The log says why.");
  if (machine?.disk_bytes) {
    const part = machine.disk_free_bytes / machine.disk_bytes;
    const text = `The disk of the data folder has ${bytes(machine.disk_free_bytes)} left of ${bytes(machine.disk_bytes)}.`;
    if (part < 0.03 || machine.disk_free_bytes < 256 * MIB) add("bad", text);
    else if (part < 0.1 || machine.disk_free_bytes < GIB) add("wait", text);
  }
  some("bad", "storage_failures", (count) => `Requests to the database failed: ${count}.`);
  some("bad", "storage_refusals", (count) => `Requests to the database were refused because too many waited: ${count}.`);
  if (limits.queue_max && all.storage_queue > limits.queue_max / 2) add("wait", `${number(all.storage_queue)} requests wait for the database, of ${number(limits.queue_max)} that may.`);
  some("wait", "last_seen_lost", (count) => `Times at which users left were lost: ${count}.`);

  // Room
  const held = limits.waiting_bytes_max ? all.waiting_bytes / limits.waiting_bytes_max : 0;
  if (held > 0.5) add(held > 0.85 ? "bad" : "wait", `Connections that read slowly hold ${bytes(all.waiting_bytes)} of the ${bytes(limits.waiting_bytes_max)} that they may; beyond, those that hold most are closed.`);
  if (machine?.memory_bytes) {
    const free = machine.memory_free_bytes / machine.memory_bytes;
    if (free < 0.1) add(free < 0.04 ? "bad" : "wait", `The machine has ${bytes(machine.memory_free_bytes)} of memory left of ${bytes(machine.memory_bytes)}.`);
  }
  const most = Math.max(0, ...now.shards.map(({ connections }) => connections));
  const room = Math.min(machine?.descriptors_max || Infinity, limits.connections_max || Infinity);
  if (most > 0.8 * room) add(most > 0.95 * room ? "bad" : "wait", `A shard has ${number(most)} connections of ${number(room)} that it may have (ulimit -n, or connections_max).`);
  some("bad", "accept_stops", (count) => `New connections had to wait because there was no room for them: ${count}.`);
  for (const [name, part] of cores) if (part > 0.85) add("wait", `${name} uses ${Math.round(part * 100)} % of a processor core, and cannot use more than one.`);

  // Those who are connected
  some("wait", "closed_slow_consumer", (count) => `Connections closed because they did not read fast enough: ${count}.`);
  some("note", "recoveries_failed", (count) => `Pages that came back and could not get all that they missed: ${count}. They were told of the gap.`);
  some("note", "commands_slowed", (count) => `Connections that had to wait because they sent too much: ${count}.`);
  some("wait", "statement_errors", (count) => `Statements of backends with an error: ${count}. The backends are told which.`);
  some("wait", "session_logins_refused", (count) => `Backends with a wrong password: ${count}.`);
  some("note", "logins_refused", (count) => `Browsers with a wrong key: ${count}.`);
  const stalls = since("ring_stalls") / Math.max(1, seconds);
  if (stalls > 20) add("wait", `The threads of the server wait for each other ${number(stalls)} times a second: there is more to do than they can.`);

  // The server itself
  if (all.never) add("bad", "The server found a fault of its own and goes on. Please report what the log says of it.");
  some("wait", "log_lines_lost", (count) => `Lines of the log were lost because nobody reads them: ${count}.`);
  const warned = now.warnings - (before?.warnings ?? now.warnings);
  if (warned > 0) add("note", `New warnings in the log: ${number(warned)}.`, lines.at(-1));
  if (found.length === 0) {
    const disk = machine?.disk_free_bytes ? `, ${bytes(machine.disk_free_bytes)} of disk are free` : "";
    add("good", `Nothing. What is to be kept is stored${disk}, and nobody reads too slowly.`);
  }
  const order = ["bad", "wait", "note", "good"];
  return found.sort((one, other) => order.indexOf(one.level) - order.indexOf(other.level));
}
