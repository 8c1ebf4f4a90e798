/** The record of a session: what begins it, and how it changes with an event. */
import { isAbsolute } from "node:path"
import type { ProcessRecord } from "../../daemon/files/process-record.js"
import { type InstanceName, nickPattern } from "../../protocol/names.js"
import type { Harness } from "../harness.js"
import { hashOf, type SessionRecord, type SessionState } from "../sessions.js"
import type { HookEvent, HookKind } from "./event.js"

/** Characters of a directory's name in the name of an agent, and of the hash that sets sessions apart. */
const directoryLength = 24
const hashLength = 6

/** Returns the name of a session's agent that nobody named: harness, directory and a part of the session's hash. */
export function agentName(harness: Harness, directory: string, session: string): InstanceName {
  const last = isAbsolute(directory) ? (directory.split("/").at(-1) ?? "") : ""
  const plain = last.replaceAll(/[^A-Za-z0-9._-]+/g, "-").replaceAll(/^[._-]+|[._-]+$/g, "")
  const hash = hashOf(session).slice(0, hashLength)
  const name = [harness, plain.slice(0, directoryLength), hash].filter((part) => part !== "").join("-")
  return (nickPattern.test(name) ? name : `${harness}-${hash}`) as InstanceName
}

/** Facts about a session besides its event. */
export interface Circumstances {
  readonly session: string
  readonly agent: InstanceName
  readonly cwd: string
  readonly process: ProcessRecord | undefined
  /** Milliseconds since the Unix epoch. */
  readonly nowMs: number
}

/**
 * Returns the record of a session after an event.
 * @param before - its record so far; undefined if there is none
 * @param heir - the session whose agent it goes on as, which may be itself
 */
export function recordAfter(
  before: SessionRecord | undefined,
  heir: SessionRecord | undefined,
  event: HookEvent,
  { session, agent, cwd, process, nowMs }: Circumstances,
): SessionRecord {
  const { harness, name, kind } = event
  const known = before ?? {
    ...{ session, cwd, started: nowMs, state: "idle" as const, door: {} },
    ...{ continued: false, greeted: false, background: 0 },
  }
  const background = event.background ?? known.background
  return {
    ...known,
    ...{ harness, event: name, event_at: nowMs, background },
    agent: heir?.agent ?? agent,
    owns_daemon: heir?.owns_daemon ?? false,
    announced: heir?.announced ?? 0,
    state: stateAfter({ ...known, background }, event),
    // A session that is resumed may be in another process, with other ways to reach it.
    door: kind === "start" ? event.door : { ...known.door, ...event.door },
    continued: known.continued && kind !== "start",
    ...(process !== undefined && { process }),
  }
}

const states: Partial<Record<HookKind, SessionState>> = {
  ...{ prompt: "working", "before-tool": "working", "after-tool": "working" },
  ...{ settled: "idle", "needs-user": "waiting", end: "ended" },
}

function stateAfter(
  { state, background }: Pick<SessionRecord, "state" | "background">,
  { kind, cause, isIdle }: HookEvent,
): SessionState {
  // The history is shortened in the middle of a turn.
  if (kind === "start") return cause === "compact" && state !== "ended" ? state : "idle"
  if (kind === "stop") return background > 0 ? "working" : "idle"
  if (isIdle && background === 0 && state !== "ended") return "idle"
  return states[kind] ?? state
}
