/**
 * The sessions of coding harnesses that belong to a home: one file per session, which its hooks write. A session is known
 * by the id that its harness gives it, not by its directory: several sessions in one directory are several agents.
 */
import { createHash } from "node:crypto"
import { rmSync } from "node:fs"
import { isAbsolute, join } from "node:path"
import { listIfExists } from "../base/files.js"
import { isNumber, isPlain } from "../base/plain.js"
import { asFileProblem } from "../daemon/files/file-problems.js"
import { ensureDirectory } from "../daemon/files/home.js"
import type { RootPaths } from "../daemon/files/paths.js"
import { type ProcessRecord, parseProcessRecord, processState } from "../daemon/files/process-record.js"
import { readStateFile, writeStateFile } from "../daemon/files/state-file.js"
import { type InstanceName, nickPattern } from "../protocol/names.js"
import { HARNESSES, type Harness } from "./harness.js"

/** State of a session; `waiting` for its user. */
export type SessionState = (typeof states)[number]
const states = ["working", "waiting", "idle", "ended"] as const

/** How a session can be reached from outside, as far as its hooks know. */
export interface SessionDoor {
  /** Claude Code: path of the inbox socket, absolute. */
  readonly socket?: string
  /** Claude Code: proves to the inbox socket that a message comes from the session itself. A secret. */
  readonly token?: string
  /** Codex, Amp: id of the thread. */
  readonly thread?: string
  /** OpenCode: address of its server. */
  readonly server?: string
}

/** One session of a harness. Times are milliseconds since the Unix epoch. */
export interface SessionRecord {
  readonly harness: Harness
  /** The id that the harness gave it. */
  readonly session: string
  /** Name of the daemon that speaks for it. */
  readonly agent: InstanceName
  /** Directory in which it began. */
  readonly cwd: string
  /** The harness's process; absent if it is not known. */
  readonly process?: ProcessRecord
  readonly started: number
  /** The event that its hook received last, by the harness's name. */
  readonly event: string
  readonly event_at: number
  readonly state: SessionState
  readonly door: SessionDoor
  /** Number of the newest inbox line that it has been shown, or that was counted when it was shown others. */
  readonly announced: number
  /** The state that the daemon was asked to report last; absent before the first time. */
  readonly reported?: SessionState
  /** True if its hook started the daemon, which ends with it then. */
  readonly owns_daemon: boolean
  /** True from a continued end of a turn to the next prompt: no second one follows. */
  readonly continued: boolean
  /** True once its model has read which agent it is. */
  readonly greeted: boolean
  /** Number of background tasks that ran at the end of the last turn. */
  readonly background: number
}

/** Sessions of which a home keeps a record. */
const maxSessions = 200
const suffix = ".json"
/** Longest text of a record, in characters; none is longer where a harness works as documented. */
const maxText = 4_096

/** Returns the path of a session's record, and of nothing else, whatever the id is. */
export function sessionFile(root: Pick<RootPaths, "sessions">, session: string): string {
  return join(root.sessions, `${hashOf(session)}${suffix}`)
}

/** Returns the path of the output of a session's background hook that no other hook has confirmed. */
export function rungFile(root: Pick<RootPaths, "sessions">, session: string): string {
  return sessionFile(root, session).replace(/json$/, "rung")
}

/** Returns a number for a session that is the same whenever it is asked for: 16 hex digits. */
export function hashOf(session: string): string {
  return createHash("sha256").update(session).digest("hex").slice(0, 16)
}

/** Reads the record of a session; undefined if there is none. @throws {ChatError} FILE_FAILED */
export function readSession(root: Pick<RootPaths, "sessions">, session: string): SessionRecord | undefined {
  const record = parseSession(readStateFile(sessionFile(root, session)))
  return record?.session === session ? record : undefined
}

/** Reads all records, the one whose hook ran last first. @throws {ChatError} FILE_FAILED */
export function listSessions(root: Pick<RootPaths, "sessions">): SessionRecord[] {
  return recordFiles(root)
    .flatMap((path) => parseSession(readStateFile(path)) ?? [])
    .sort((a, b) => b.event_at - a.event_at)
}

/** Returns the newest session of an agent that has not ended; undefined if there is none. @throws {ChatError} FILE_FAILED */
export function sessionOfAgent(
  root: Pick<RootPaths, "sessions">,
  agent: InstanceName,
): SessionRecord | undefined {
  return listSessions(root).find((record) => record.agent === agent && isLive(record))
}

/** Reports whether a session has not ended, as far as its process is known. */
export function isLive({ state, process }: Pick<SessionRecord, "state" | "process">): boolean {
  return state !== "ended" && (process === undefined || processState(process) !== "dead")
}

/**
 * Writes the record of a session (0600). A new one takes the place of the one that was used least recently, of those that
 * have ended if there are any.
 * @throws {ChatError} FILE_FAILED
 */
export function writeSession(root: Pick<RootPaths, "sessions">, record: SessionRecord): void {
  const path = sessionFile(root, record.session)
  let isNew: boolean
  try {
    isNew = ensureDirectory(root.sessions) || !recordFiles(root).includes(path)
  } catch (error) {
    throw asFileProblem(error, root.sessions)
  }
  if (isNew) makeRoom(root)
  const failure = writeStateFile(path, record)
  if (failure !== undefined) throw failure
}

function makeRoom(root: Pick<RootPaths, "sessions">): void {
  const files = recordFiles(root)
  if (files.length < maxSessions) return
  const found = files.map((path) => ({ path, record: parseSession(readStateFile(path)) }))
  const inUse = found.filter(({ record }) => record !== undefined && isLive(record))
  const others = found.filter((file) => !inUse.includes(file))
  const byUse = [others, inUse].flatMap((group) =>
    group.sort((a, b) => (a.record?.event_at ?? 0) - (b.record?.event_at ?? 0)),
  )
  for (const { path } of byUse.slice(0, files.length - maxSessions + 1)) {
    for (const end of ["json", "rewake", "rung"]) rmSync(path.replace(/json$/, end), { force: true })
  }
}

function recordFiles(root: Pick<RootPaths, "sessions">): string[] {
  return listIfExists(root.sessions)
    .filter((name) => name.endsWith(suffix))
    .map((name) => join(root.sessions, name))
}

function parseSession(value: Readonly<Record<string, unknown>>): SessionRecord | undefined {
  const { harness, session, agent, cwd, started, event, event_at, state } = value
  if (!HARNESSES.includes(harness as Harness) || !states.includes(state as SessionState)) return undefined
  if (typeof agent !== "string" || !nickPattern.test(agent)) return undefined
  if (![session, cwd, event].every((text) => typeof text === "string" && text !== "")) return undefined
  if (!isNumber(started) || !isNumber(event_at)) return undefined
  const known = { harness, session, agent, cwd, started, event, event_at, state }
  return { ...(known as RequiredFields), ...parseProgress(value) }
}

type RequiredFields = Pick<
  SessionRecord,
  "harness" | "session" | "agent" | "cwd" | "started" | "event" | "event_at" | "state"
>

/** Reads the fields without which a record is still of use. */
function parseProgress(value: Readonly<Record<string, unknown>>): Omit<SessionRecord, keyof RequiredFields> {
  const { announced, background, owns_daemon, continued, greeted } = value
  const process = parseProcessRecord(value["process"])
  const reported = states.find((state) => state === value["reported"])
  return {
    ...(process !== undefined && { process }),
    door: parseDoor(value["door"]),
    announced: isNumber(announced) ? announced : 0,
    ...(reported !== undefined && { reported }),
    owns_daemon: owns_daemon === true,
    continued: continued === true,
    greeted: greeted === true,
    background: isNumber(background) ? background : 0,
  }
}

/** Reads how a session can be reached; leaves out what has another form. */
export function parseDoor(value: unknown): SessionDoor {
  if (!isPlain(value)) return {}
  const { socket, token, thread, server } = value
  return {
    ...(isText(socket) && isAbsolute(socket) && { socket }),
    ...(isText(token) && { token }),
    ...(isText(thread) && { thread }),
    ...(isText(server) && /^https?:\/\//.test(server) && { server }),
  }
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "" && value.length <= maxText
}
